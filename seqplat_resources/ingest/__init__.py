"""Raw rows in: reading source files and decoding them once into typed columns."""
