"""Releases in storage, channels that point at them, and what a request needs to know of a sequence.

Doors: ``runtime.Runtime``, ``store.ReleaseStore``, ``sequence_plan.SequencePlan``, ``query.Query``.
Every room above may enter; it stands on records.
"""
