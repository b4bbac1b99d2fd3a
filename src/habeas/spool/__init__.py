"""Sealed frames of rows and keys of a running cohort."""
