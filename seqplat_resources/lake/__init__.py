"""One Delta table: its columns, its files, and the atomic replacement of a bucket; knows no release.

Doors: ``table.LakeTable``, ``append.append``; ``compact``, ``vacuum`` and ``verify`` keep it well.
Sources, batch, stream, quality and explain may enter; it stands on records.
"""
