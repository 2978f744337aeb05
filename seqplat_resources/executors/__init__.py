"""Bundled executors; each module registers its own.

Example: ``declarative`` maps an event by its definition's SQL alone.
Only the engine's registry enters, by name; an executor imports no I/O.
"""
