"""FOR WHOM: the sequence API and the command line. Thin."""
