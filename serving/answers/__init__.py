"""From what was asked to the bytes of the answer: JSON or Arrow, its headers, and what is kept of it.

Doors: ``answer.answer_one``, ``answer.answer_many``.
Openapi, routes and http may enter; it stands on admission and access.
"""
