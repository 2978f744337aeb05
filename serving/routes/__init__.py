"""The routes, a module each subject; a handler asks and answers, and decides nothing itself.

Example: ``sequences`` answers one user or a batch.
Only ``http.app`` enters.
"""
