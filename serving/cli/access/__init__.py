"""API keys: ``keys`` and its tables.

Door: one group of commands.
Only ``main`` enters.
"""
