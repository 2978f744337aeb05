"""``doctor``: look at a deployment part by part, and say of each how it is and what to do.

Doors: ``command.doctor``.
Only ``main`` enters; it stands on every room below, and each part stands on nothing that another one found.
"""
