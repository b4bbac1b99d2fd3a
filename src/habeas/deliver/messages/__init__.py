"""Messages to people: what a vendor is, the vendors, and the texts."""
