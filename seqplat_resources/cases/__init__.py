"""Cases: rows in, events or a sequence out, by the engine itself, in one process and without a service.

Doors: ``reading.cases_of`` a YAML file, ``trial.Trial`` runs rows, ``verdict.differences`` compares, ``definitions`` is
for pytest (``pytest_plugin``), ``laws`` are properties that executors keep. Commands and users' tests enter.
"""
