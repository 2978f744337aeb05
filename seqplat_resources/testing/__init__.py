"""Doubles that tests import, ours and yours: an online store in memory, lookups from frames.

Doors: ``memory.store.MemoryStore``, ``lookups.FrameLookup``.
Only tests enter; no module of the product does.
"""
