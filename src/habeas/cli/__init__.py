"""The command line: the API's services from a terminal."""
