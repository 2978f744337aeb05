"""Upkeep of a release's tables: the layout of their files, and files held against their checksums.

Doors: ``layouts.compact_table``, ``verify.verify``, ``expiry.expiries``.
Quality, Dagster's assets and the command line may enter; it stands on days and inputs.
"""
