"""The form of what is asked and refused: parameters, bodies, paths, schemas, and problems.

Doors: ``parameters.query_of``, ``problems.problem_of``, ``schemas``.
Every room that sees a request may enter; it stands on follow.
"""
