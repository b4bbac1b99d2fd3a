"""Signed calls to systems outside: how they are signed, how one is sent, what an answer means."""
