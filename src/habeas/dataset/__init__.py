"""Datasets: annotated schemas of connected systems. Pure: text in, values and problems out."""
