"""The rules of static analysis, a module each concern; a decorator puts them into the table of rules.

Example: ``identity`` refuses event types whose identity is not the producer's own.
Only the runner enters; rules do not know each other.
"""
