"""What Dagster knows of runs: its beta interfaces in one place, plans, and whether a run still lives.

Doors: ``preview``, ``planned.require_planned``, ``liveness``.
Every room here but describe may enter.
"""
