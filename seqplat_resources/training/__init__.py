"""Sequences as they were at many users' times, for training: the rule, what it reads, what it writes.

Doors: ``point_in_time.taken`` (the rule, on arrays), ``build.build`` (labels and a sequence to a folder of Parquet),
``held.pin_set`` (what it was made of is kept), ``daily.DailySet`` (a set a day, as it is defined) and ``measures``.
May be entered by health, assets and the command line; stands on batch, lake, release, rules and ``read``.
"""
