"""Labels that are given: read, judged, and split into parts; writes nothing.

Doors: ``labels.read``, ``split.LabelSplit``.
May be entered by whoever makes training sets; stands on types, times and values.
"""
