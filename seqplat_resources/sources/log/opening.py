"""Which log an installation uses: ``SEQPLAT_LOG``, by default files in a local home, or Kafka where one is named.

>>> from contextlib import closing
>>> from seqplat_resources.sources.log.contract import Partition
>>> with closing(open_log_writer({}, home)) as writer:
...     writer.create_topic("clicks", 1)
...     writer.append("clicks", [(b"ann", b'{"number": 1}')])
...
>>> with closing(open_log_source({}, home)) as log:
...     log.assign({Partition("clicks", 0): 0})
...     log.poll(max_rows=1, max_bytes=1_000, timeout_s=5)[0].values
...
[b'{"number": 1}']
"""

import importlib.util
from collections.abc import Mapping
from typing import Final

from seqplat_resources.home import Home
from seqplat_resources.sources.log.contract import LogSource, LogWriter, OnLost
from seqplat_resources.sources.log.errors import LogSettingsInvalid
from seqplat_resources.sources.log.file.folder import FileLogSource, FileLogWriter
from seqplat_resources.sources.log.kafka.settings import BOOTSTRAP, KafkaSettings

KINDS: Final = ("file", "kafka", "confluent")


def open_log_source(
    environment: Mapping[str, str],
    home: Home,
    *,
    group: str | None = None,
    client_id: str = "seqplat",
    on_lost: OnLost = "error",
) -> LogSource:
    """Open the log for reading; ``group`` names whose progress ``hint`` reports.

    Raises:
        LogSettingsInvalid: settings that are missing, unknown or do not fit together.
        LogUnreachable, LogAccessDenied: as every use of the log.
    """
    kind = log_kind(environment)
    if kind == "file":
        return FileLogSource(_folder(environment, home), on_lost=on_lost)
    settings = KafkaSettings.from_environment(environment)
    # One client only: each takes a while to import, and one of them may not be installed.
    if kind == "confluent":
        from seqplat_resources.sources.log.kafka.confluent import ConfluentSource  # noqa: PLC0415

        return ConfluentSource(settings, group=group, client_id=client_id, on_lost=on_lost)
    from seqplat_resources.sources.log.kafka.python import KafkaPythonSource  # noqa: PLC0415

    return KafkaPythonSource(settings, group=group, client_id=client_id, on_lost=on_lost)


def open_log_writer(environment: Mapping[str, str], home: Home, *, client_id: str = "seqplat") -> LogWriter:
    """Open the log for appending. Raises as ``open_log_source``."""
    kind = log_kind(environment)
    if kind == "file":
        return FileLogWriter(_folder(environment, home))
    settings = KafkaSettings.from_environment(environment)
    if kind == "confluent":
        from seqplat_resources.sources.log.kafka.confluent import ConfluentWriter  # noqa: PLC0415

        return ConfluentWriter(settings, client_id=client_id)
    from seqplat_resources.sources.log.kafka.python import KafkaPythonWriter  # noqa: PLC0415

    return KafkaPythonWriter(settings, client_id=client_id)


def log_kind(environment: Mapping[str, str]) -> str:
    """``SEQPLAT_LOG``; where it is not set, Kafka by the fastest client there is if a Kafka is named, else files.

    Raises:
        LogSettingsInvalid: not one of the kinds, or its client is not installed.
    """
    kind = environment.get("SEQPLAT_LOG")
    has_confluent = importlib.util.find_spec("confluent_kafka") is not None
    if not kind:
        if not environment.get(BOOTSTRAP):
            return "file"
        return "confluent" if has_confluent else "kafka"
    if kind not in KINDS:
        raise LogSettingsInvalid(f"SEQPLAT_LOG is {kind!r}, in the environment; use one of {', '.join(KINDS)}")
    if kind == "confluent" and not has_confluent:
        raise LogSettingsInvalid(
            "SEQPLAT_LOG is 'confluent', in the environment, but confluent-kafka is not installed; "
            "install seqplat[confluent], or use 'kafka'"
        )
    return kind


def _folder(environment: Mapping[str, str], home: Home) -> str:
    if folder := environment.get("SEQPLAT_LOG_DIR"):
        return folder
    if not home.is_local:
        raise LogSettingsInvalid(
            f"the home {home.root} is not local and neither SEQPLAT_LOG_DIR nor {BOOTSTRAP} is set: "
            "set SEQPLAT_LOG_DIR to a folder for the file log, or name a Kafka"
        )
    return home.installation.uri("log")
