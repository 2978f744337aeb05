"""Static analysis: every rule over a project, every finding in one run.

Door: ``runner.analyse``. Rules see the project through ``scope`` and speak through ``diagnostics`` and ``wording``.
The command line enters; others borrow ``wording`` for their errors. It stands on the compiler.
"""
