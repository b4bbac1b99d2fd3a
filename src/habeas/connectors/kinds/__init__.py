"""One file per kind of system, discovered by habeas.connectors.registry."""
