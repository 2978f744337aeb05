"""What becomes of definitions over time: what stored rows mean, and what a change of definitions does to them.

Doors: ``meaning.Meaning``, which tells whether two releases would make the same rows and columns;
``compare.changes``, which says of every field that moved of which class it is, and the way out where it breaks.
Whoever stores rows, answers with them or publishes a release may enter; it imports the compiler, and reads nothing.
"""
