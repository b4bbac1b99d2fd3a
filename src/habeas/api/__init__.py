"""The HTTP API: routes over the services, nothing of its own."""
