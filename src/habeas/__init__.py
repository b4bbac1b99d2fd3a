"""habeas: answers privacy requests over annotated datasets, and proves what it did."""

__version__ = "0.1.0"
