"""Our own database: tables, sessions, sealed columns, one file of queries per noun."""
