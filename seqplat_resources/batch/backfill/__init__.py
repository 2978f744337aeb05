"""What a backfill takes, how far it is, and what is covered already: nothing here builds a day.

Doors: ``rates.Efforts`` and ``rates.note``, ``records.BackfillRecords``, ``coverage.coverage``.
Publish, plans of a release, Dagster's assets, the console and the command line may enter; it stands on builds and days.
"""
