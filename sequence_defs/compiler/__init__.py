"""Definitions to a release: find them, type their SQL, link, order and hash them.

Doors: ``discover.discover``, ``lower.lower``, ``sql.expression``. It stands on schema and language.
Analysis and the packages above may enter.
"""
