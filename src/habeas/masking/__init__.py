"""Masking strategies and their registry. Pure: secrets and keys are arguments."""
