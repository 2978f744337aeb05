"""``seqplat import``: what definitions of other feature platforms say, as drafts of ours. Nothing of theirs is run.

Door: ``command.import_``. ``feast`` and ``chronon`` read a format each, and add to a ``draft.Draft``.
Only ``main`` enters.
"""
