"""What is told about all requests together: counts, days, tables. Only reads."""
