"""What builds read and where: tables of a release, raw rows of a source, and copies on other days.

Doors: ``tables``, ``rows.RawInputs``.
Every other room of batch, stream, quality and explain may enter.
"""
