"""Packages: their formats, sealing and destinations."""
