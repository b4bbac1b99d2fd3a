"""Runs a plan: access, freeze, mask, verify, receipt."""
