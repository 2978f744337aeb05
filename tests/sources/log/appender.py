"""A writer in a process of its own, to be killed; run by the crash tests, not a test.

appender.py FOLDER TOPIC     append batches for ever; print the number of messages after each flush
"""

import sys

from seqplat_resources.sources.log.file.folder import FileLogWriter

BATCH = 50


def value(n: int) -> bytes:
    """A message that says which it is, of varying length."""
    return f"{n:09}".encode() + bytes([n % 251]) * (n * 7 % 900)


def main(folder: str, topic: str) -> None:
    writer = FileLogWriter(folder, segment_bytes=200_000)
    writer.create_topic(topic, 1)
    n = 0
    while True:
        writer.append(topic, [(b"key", value(n + m)) for m in range(BATCH)], partition=0)
        writer.flush()
        n += BATCH
        print(n, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
