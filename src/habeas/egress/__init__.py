"""Calls of ours to systems outside: which addresses they may reach, and the HTTP client that reaches no others."""
