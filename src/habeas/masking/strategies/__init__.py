"""One file per masking strategy, discovered by habeas.masking.registry."""
