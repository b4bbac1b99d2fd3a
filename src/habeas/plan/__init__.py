"""The compiler: datasets and a policy in, a frozen plan out. Pure."""
