"""The port to the durable engine, its adapter, leases and take-over."""
