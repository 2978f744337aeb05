"""Built days to the online store: only what changed, visible by one epoch.

Doors: ``events.publish``, ``enrichments.publish``.
Stream borrows ``events.now_schema``; Dagster's assets enter. It stands on builds.
"""
