"""One file per kind of destination, discovered by habeas.deliver.registry."""
