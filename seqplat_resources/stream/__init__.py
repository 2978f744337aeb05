"""Messages of a log to the now view and the lake, a thread a source, restarted after what may pass.

Doors: ``service.StreamService``, ``loop.StreamLoop``; ``messages`` says what becomes of one that is not JSON.
Quality, explain, Dagster's assets and the command line may enter; it stands on batch and enrichment.
"""
