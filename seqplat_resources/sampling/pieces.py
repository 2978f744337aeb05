"""Bytes of a few places of something of any size: its beginning, and of plain text its middle and its end too.

>>> from seqplat_resources.clock import SystemClock
>>> sample = sample_of("orders/2024-05-01.csv", shop.sources_root, shop.home, SystemClock())
>>> sample.stem, sample.is_whole, sample.pieces[0].splitlines()[0]
('orders', True, b'number,member,at,product,amount')
"""

import datetime as dt
import glob
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from obstore.exceptions import BaseError

from seqplat_resources.clock import Clock
from seqplat_resources.errors import Final, Retryable
from seqplat_resources.home import Home
from seqplat_resources.sources.files import SourceFile, SourceUnreadable, blocks, content, find, part, size_of
from seqplat_resources.sources.formats.compression import (
    GZIP,
    ZSTD,
    CompressionDamaged,
    unpacked_blocks,
)
from seqplat_resources.sources.log.opening import open_log_source
from seqplat_resources.times import instant_of_ms

# What is looked at of a file: a second's work, and enough rows to tell a type by.
HEAD_BYTES, PIECE_BYTES, _BLOCK_BYTES = 3 << 20, 1 << 19, 1 << 18
# A line that is longer is nobody's row; a topic tells enough by so many messages.
_MESSAGES, _POLL_S, _POLLS = 2000, 5.0, 3
_URL_S = 20.0
# Of Parquet on object storage all is fetched, as its end says what is in it.
_MOST_FETCHED = 64 << 20
_TOPIC = "topic:"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class SampleUnusable(Final):
    """Nothing can be defined from what was named: it is not there, holds no rows, or is of another kind."""


class SampleAway(Retryable):
    """Whoever keeps it does not answer now."""


@dataclass(frozen=True)
class Sampled:
    """``pieces`` are unpacked bytes; each begins and ends where a line does, the first where the file does.

    ``path`` is the local file, empty for a topic and a URL; ``location`` what a source says to find it and its like.
    ``is_whole`` tells whether the pieces are all of it, ``size_bytes`` how large it is (packed), ``others`` how many
    more files the same pattern matches, ``is_table`` that it is a Delta table, which has no bytes of its own.
    ``first_day`` is the earliest of the dates in the files' names.
    """

    name: str
    location: str
    pieces: tuple[bytes, ...]
    is_whole: bool
    size_bytes: int
    modified_at: dt.datetime
    path: str = ""
    topic: str = ""
    packed: str = ""
    others: int = 0
    is_table: bool = False
    first_day: dt.date | None = None

    @property
    def stem(self) -> str:
        """What it is called, without folders and endings."""
        last = self.topic or Path(urlsplit(self.name).path or self.name).name
        bare = re.sub(r"(\.(csv|tsv|txt|jsonl?|ndjson|parquet|gz|zst|zstd|log))+$", "", last, flags=re.IGNORECASE)
        return re.sub(r"[*?\[\]]|\{day\}", "", _DATE.sub("", bare)).strip("-_. ") or Path(self.name).parent.name


def sample_of(name: str, root: str, home: Home, clock: Clock) -> Sampled:
    """Look at a file, a pattern of files (``s3://`` too), ``topic:NAME`` or an http(s) URL.

    ``root`` is where sources' files are.

    Raises:
        SampleUnusable: it is not there, is empty, or cannot be read.
        SampleAway: a server does not answer.
    """
    if name.startswith(_TOPIC):
        return _of_topic(name.removeprefix(_TOPIC), home, clock)
    if name.startswith(("http://", "https://")):
        return _of_url(name, clock)
    return _of_file(name, root)


def _of_file(name: str, root: str) -> Sampled:
    found = _found(name, root)
    file = found[len(found) // 2]  # of many by name, neither the first, which may be odd, nor one that still grows
    location = _location(name, found, root)
    if "://" not in file.path and os.path.isdir(file.path):
        if (Path(file.path) / "_delta_log").is_dir():
            return Sampled(name, location, (), False, 0, file.modified_at, path=file.path, is_table=True)
        raise SampleUnusable(
            f"{name} is a folder; name a file in it, or a pattern in quotes: '{name.rstrip('/')}/*.csv'"
        )
    try:
        return replace(_looked_at(name, location, file, len(found) - 1), first_day=_first_day(found))
    except (OSError, BaseError, CompressionDamaged) as error:
        raise SampleUnusable(f"{name} cannot be read: {error}; unpack it, or name another file") from error


def _found(name: str, root: str) -> list[SourceFile]:
    """Files as a source finds them, of the working directory first."""
    pattern = name.replace("{day}", "*")
    if "://" in name:
        try:
            return find(name, root, source="sample") or find(pattern, root, source="sample")
        except SourceUnreadable as error:
            raise SampleUnusable(f"there is no object {name!r}; name one, or a pattern of them in quotes") from error
        except (OSError, BaseError) as error:
            raise SampleAway(
                f"{name} cannot be listed ({str(error).splitlines()[0][:200]}); set AWS_REGION, AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, and AWS_ENDPOINT_URL where the store is not Amazon's, then try again"
            ) from error
    for below in (os.getcwd(), root):
        paths = [os.path.join(below, pattern)] if os.path.exists(os.path.join(below, pattern)) else []
        paths = paths or sorted(glob.glob(os.path.join(glob.escape(below), pattern), recursive=True))
        if paths:
            return [_source_file(path) for path in paths]
    raise SampleUnusable(f"there is no file {name!r}, neither here nor below {root}; name a file, topic:NAME or a URL")


def _source_file(path: str) -> SourceFile:
    try:
        said = os.stat(path)
    except OSError as error:
        kind = "a link that leads nowhere" if os.path.islink(path) else "there and cannot be looked at"
        raise SampleUnusable(f"{path} is {kind} ({error.strerror}); mend or remove it, or name another file") from error
    return SourceFile(path, path, instant_of_ms(max(0, int(said.st_mtime * 1000))))


def _location(name: str, found: list[SourceFile], root: str) -> str:
    """Relative to where sources' files are, if it is below; ``{day}`` where the names of files differ by their date."""
    single = len(found) == 1 and "{day}" not in name
    if "://" in name:
        return found[0].path if single else _dated(found) or name
    path = found[0].path if single else os.path.join(os.getcwd(), name)
    relative = os.path.relpath(os.path.abspath(path), root)
    location = relative if not relative.startswith("..") else os.path.abspath(path)
    if single or "{day}" in location:
        return location
    if only := _dated(found):
        below = os.path.relpath(os.path.abspath(only), root)
        return below if not below.startswith("..") else os.path.abspath(only)
    return location


def _dated(found: list[SourceFile]) -> str:
    """The one way in which all paths are written once their date is ``{day}``; empty if there is none."""
    dated = {_DATE.sub("{day}", file.path, count=1) for file in found}
    return dated.pop() if len(dated) == 1 and "{day}" in next(iter(dated)) else ""


def _first_day(found: list[SourceFile]) -> dt.date | None:
    days = set[dt.date]()
    for text in {text for file in found for text in _DATE.findall(file.path)} if _dated(found) else ():
        with suppress(ValueError):
            days.add(dt.date.fromisoformat(text))
    return min(days, default=None)


def _looked_at(name: str, location: str, file: SourceFile, others: int) -> Sampled:
    is_local = "://" not in file.path
    if is_local and not os.path.isfile(file.path):
        raise SampleUnusable(f"{name} is no file, but a pipe or a device; write what it gives to a file")
    size = size_of(file)
    start = part(file, 0, 4) if size else b""
    packed = "gzip" if start.startswith(GZIP) else "zstd" if start.startswith(ZSTD) else ""
    if start.startswith(b"PAR1") and not is_local and size <= _MOST_FETCHED:
        head, is_whole = content(file), True
    else:
        head, is_whole = _head(unpacked_blocks(blocks(file)))
    pieces = [head]
    if not packed and not is_whole and head[:2] not in _UTF16 and not head.startswith(b"PAR1"):
        pieces += [_cut(file, at, size) for at in (size // 2, size - PIECE_BYTES)]
    return Sampled(
        name,
        location,
        tuple(piece for piece in pieces if piece),
        is_whole,
        size,
        file.modified_at,
        path=file.path if is_local else "",
        packed=packed,
        others=others,
    )


def _head(blocks: Iterator[bytes]) -> tuple[bytes, bool]:
    """The beginning up to the end of a line, and whether that is all."""
    taken, size = [], 0
    for block in blocks:
        taken.append(block)
        size += len(block)
        if size > HEAD_BYTES:
            return _whole_lines(b"".join(taken)[: HEAD_BYTES + _BLOCK_BYTES]), False
    return b"".join(taken), True


def _whole_lines(data: bytes) -> bytes:
    """Without the line at the end that is cut; of UTF-16 without half a character."""
    if data[:2] in _UTF16:
        mark = "\n".encode("utf-16-le" if data[:2] == _UTF16[0] else "utf-16-be")
        at = data.rfind(mark)
        while at % 2 and at > 0:
            at = data.rfind(mark, 0, at)
        return data[: at + 2] if at > 0 else data[: len(data) // 2 * 2]
    end = data.rfind(b"\n")
    return data[: end + 1] if end >= 0 else data


def _cut(file: SourceFile, at: int, size: int) -> bytes:
    """Whole lines from about there; none where the file has been looked at already, or a line has no end."""
    if at < HEAD_BYTES + PIECE_BYTES:
        return b""
    data = part(file, at, PIECE_BYTES)
    first = data.find(b"\n")
    last = len(data) if at + len(data) >= size else data.rfind(b"\n") + 1
    return data[first + 1 : last] if 0 <= first < last else b""


def _of_url(url: str, clock: Clock) -> Sampled:
    """The beginning of what a server answers, in bounded time; the rest is not fetched."""
    until = clock.now() + dt.timedelta(seconds=_URL_S)
    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=_URL_S / 2) as answer:
            if answer.status_code != 200:
                raise SampleUnusable(f"{url} answers with status {answer.status_code}; name a URL that gives the file")

            def received() -> Iterator[bytes]:
                for block in answer.iter_bytes(_BLOCK_BYTES):
                    yield block
                    if clock.now() > until:
                        raise SampleAway(f"{url} gives less than {HEAD_BYTES >> 20} MB in {_URL_S:g} s; download it")

            head, is_whole = _head(unpacked_blocks(received()))
            length = int(answer.headers.get("content-length") or len(head))
    except httpx.HTTPError as error:
        raise SampleAway(f"{url} does not answer ({type(error).__name__}: {error}); download the file") from error
    except (httpx.InvalidURL, CompressionDamaged) as error:
        raise SampleUnusable(f"{url} cannot be read: {error}; download the file, and name that") from error
    return Sampled(url, "", (head,), is_whole, length, clock.now())


def _of_topic(topic: str, home: Home, clock: Clock) -> Sampled:
    """The newest messages of a topic, as lines."""
    values = list(_messages(topic, home.environment, home))
    lines = [value.replace(b"\n", b" ") for value in values if value]
    if not lines:
        raise SampleUnusable(f"topic {topic!r} has no messages; send some (seqplat send), or name a file of them")
    data = b"".join(line + b"\n" for line in lines)
    return Sampled(f"topic:{topic}", "", (data,), False, len(data), clock.now(), topic=topic)


def _messages(topic: str, environment: Mapping[str, str], home: Home) -> Iterator[bytes | None]:
    source = open_log_source(environment, home, on_lost="earliest")
    try:
        partitions = source.partitions(topic)
        starts, ends = source.start_offsets(partitions), source.end_offsets(partitions)
        share = max(1, _MESSAGES // max(1, len(partitions)))
        source.assign({each: max(starts[each], ends[each] - share) for each in partitions if ends[each] > starts[each]})
        left = sum(min(share, ends[each] - starts[each]) for each in partitions)
        for _ in range(_POLLS):
            for batch in (
                source.poll(max_rows=max(1, left), max_bytes=HEAD_BYTES, timeout_s=_POLL_S) if left > 0 else ()
            ):
                left -= len(batch)
                yield from batch.values
    finally:
        source.close()
