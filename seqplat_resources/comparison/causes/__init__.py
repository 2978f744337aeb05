"""Why something differs, by rules that people can read.

Doors: ``rules.explain``, and ``rules.causes_of`` for who has rules of its own. Example: a time that is five hours off
has the cause ``clock``; what is known beyond the two sides comes in as frames (``alone.Known``).
Quality, shadow and the comparison's counts may enter; it stands on ``events`` and ``pairing``.
"""
