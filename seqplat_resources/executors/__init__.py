"""Bundled executors; each module registers its own."""
