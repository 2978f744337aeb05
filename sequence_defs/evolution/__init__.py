"""What becomes of definitions over time: what stored rows mean, and what a change of definitions does to them.

Doors: ``meaning.Meaning``, which tells whether two releases would make the same rows and columns.
Whoever stores rows, answers with them or publishes a release may enter; it imports the compiler, and reads nothing.
"""
