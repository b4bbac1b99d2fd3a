"""Connectors to what somebody answers for: a person, or a service that takes its time."""
