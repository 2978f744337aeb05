"""Sequences as they were at many users' times, for training: the rule, what it reads, what it writes.

Doors: ``point_in_time.taken`` (the rule, on arrays), ``build.build`` (labels and a sequence to a folder of Parquet),
``held.pin_set`` (what it was made of is kept).
May be entered by assets and the command line; stands on lake, release, rules and the conditions of ``read``.
"""
