"""Logs of raw messages: partitions that are read by offset, and appended to.

Doors: ``opening.open_log_source`` and ``contract``; what all logs share is in ``polling`` and ``backlog``.
Streams and the command line may enter; it stands on errors and the clock.
"""

from seqplat_resources.sources.log.contract import LogBatch, LogSource, LogWriter, OnLost, Partition, Record

__all__ = ["LogBatch", "LogSource", "LogWriter", "OnLost", "Partition", "Record"]
