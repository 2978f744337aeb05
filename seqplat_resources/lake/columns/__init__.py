"""Columns of days that were built without them: files beside a table's, row by row, until the day is built again.

Door: ``whole.WholeTable``, a table whose reads have them; who reads events reads through it and knows nothing of files.
Batch's list of tables enters to open it, builds to write beside; it stands on ``lake.table``.
"""
