"""The ways messages leave: one file each, found by the registry."""
