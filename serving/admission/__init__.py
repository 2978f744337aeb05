"""Who is let in, and with how much: bodies, lanes, turns, memory, and the end of a process.

Doors: ``queue.Shedding``, ``bodies.Bodies``, ``limits.within_limits``.
Answers, routes and http may enter; it stands on access and metrics.
"""
