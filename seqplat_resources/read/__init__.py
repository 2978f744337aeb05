"""Users' sequences from the online store: merged, selected, cut to the newest, and how fresh they are.

Doors: ``answer.answer`` for one user, ``answer.answers`` for many.
Explain and serving may enter; it stands on release and online store.
"""
