"""Blocks to frames of the requested columns: all at once, or section by section where there are few.

Doors: ``blocks.decode_blocks``, ``ranges.ranges``.
Only ``codec`` hands it on; it knows nothing of encoding.
"""
