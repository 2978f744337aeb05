"""The straight line every runtime calls: keep, normalize, identify, deduplicate, order, enrich.

Door: ``run.run`` with a ``plan.EventPlan``. It knows no file, log, lake or store: lookups come in as arguments.
Sources, batch, stream, quality and explain may enter; it stands on values, rules and release.
"""
