"""From definitions that changed to a channel that runs them: the gate of publishing, and plans of what follows.

Doors: ``publish.publish``, ``publish.rollback``, ``gate.judge``, ``build.made``, ``plan.PlanStore``, ``run.apply``.
The command line enters; it stands on batch, the online store and releases, and builds nothing itself.
"""
