"""Batch work by day: ingest raw, build events, enrichments and sequences, publish. Knows nothing of schedulers."""
