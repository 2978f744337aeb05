"""WHEN: Dagster assets, checks, sensors and schedules, made from a release. Thin.

Doors: ``definitions`` for Dagster, ``run.materialize_range`` for the command line.
Dagster and two commands enter; serving knows nothing else of it.
"""
