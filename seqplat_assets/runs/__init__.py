"""What Dagster knows of runs: its beta interfaces in one place, runs in this process, plans, and whether a run lives.

Doors: ``preview``, ``in_process.run_in_process``, ``planned.require_planned``, ``liveness``.
Every room here but describe may enter.
"""
