"""The family of SQL connectors: one traversal, one writer, one dialect class for each kind of database."""
