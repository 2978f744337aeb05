"""Logs of raw messages: read by offset from Kafka or from files, written for replay and tests."""

from seqplat_resources.logs.contract import LogBatch, LogSource, LogWriter, OnLost, Partition, Record

__all__ = ["LogBatch", "LogSource", "LogWriter", "OnLost", "Partition", "Record"]
