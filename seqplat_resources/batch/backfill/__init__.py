"""What a backfill takes, and how far it is: nothing here builds a day.

Doors: ``rates.Efforts`` and ``rates.note``, ``records.BackfillRecords``.
Publish, plans of a release, Dagster's assets, the console and the command line may enter; it stands on builds and days.
"""
