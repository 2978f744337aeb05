"""API keys: the ring of all of them as one value, its store, and the changes an administrator makes.

Doors: ``store.KeyStore``, ``changes``.
Access and the command line may enter; it stands on the records of the home.
"""
