"""Plain values every other part stands on. Never touches network, clock, randomness or database."""
