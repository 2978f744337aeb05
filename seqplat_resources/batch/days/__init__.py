"""Which days there are, are built, are dirty, or are not well; and what became of a build.

Doors: ``partitions.Partitions``, ``ledger.dirty_buckets``, ``needs.needs``, ``troubles.DayTroubles``.
Builds, stream, quality, Dagster's assets and the command line may enter; it stands on inputs.
"""
