"""The online store in a dictionary: what the contract means in the fewest words.

Door: ``store.MemoryStore``.
Only tests enter; no module of the product does.
"""
