"""What is said to authors before a definition is one: an example of every field, and refusals in words that help.

Doors: ``examples.example``, ``refusals.told``.
The compiler and the pages about definitions enter; it stands on the models alone.
"""
