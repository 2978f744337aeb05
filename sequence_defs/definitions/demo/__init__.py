"""The demo: what a grocery's households do, and the data of it.

A module each kind: ``sources``, ``events``, ``enrichments``, ``sequences``.
Only discovery enters.
"""
