"""Policies, rules, targets, and the fields they select. Pure."""
