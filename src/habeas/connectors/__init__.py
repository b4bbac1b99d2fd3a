"""Connectors: code for one kind of system each, reached through the registry only."""
