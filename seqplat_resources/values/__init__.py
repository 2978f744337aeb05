"""One value in one declared type, judged alike whatever format it came in, and rows that a step cannot take.

Doors: ``typing.typed``, ``scalars.scalar``, ``isolation.isolated``.
Engine, sources, enrichment and batch may enter; it stands on the compiler's types.
"""
