"""One module a layer: raw rows, enrichments, events and sequences of a day, replaced as a whole.

Doors: ``raw.ingest``, ``enrichments.build``, ``events.build``, ``sequences.build``, ``imports.import_files``.
Publish, Dagster's assets and the command line may enter; it stands on days and inputs.
"""
