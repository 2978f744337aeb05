"""An answer's headers: how fresh it is, for those who do not read bodies, and by what a cache may keep it."""

import datetime as dt
import hashlib
from base64 import b64encode
from collections.abc import Iterator, Sequence
from functools import lru_cache

import msgspec
import numpy as np

from seqplat_resources.read.freshness import Freshness
from serving.answers.negotiation import Form
from serving.api.schemas import SelectionRequest

Headers = list[tuple[bytes, bytes]]

# The caller's own cache may keep an answer but has to ask each time whether it still holds: the next event may be in
# the store within a second.
CACHING: Headers = [
    (b"cache-control", b"private, no-cache"),
    (b"vary", b"Accept, Accept-Encoding, Authorization"),
]

_MOST_PROBLEMS_BYTES = 1_024


def freshness_headers(fresh: Freshness) -> Headers:
    """``meta`` as headers; what is null there is left out here.

    ``X-Seqplat-Epoch`` is a dictionary, ``X-Seqplat-Degraded`` and ``X-Seqplat-Definitions`` are lists of strings, as
    RFC 9651 writes them.
    """
    headers = list(
        _of_view(
            fresh.release, tuple(fresh.epoch.items()), fresh.sealed_through, fresh.completeness, tuple(fresh.degraded)
        )
    )
    if fresh.newest_event_time is not None:
        headers.append((b"x-seqplat-newest-event-time", _rfc_3339(fresh.newest_event_time)))
    if fresh.definitions:
        told = tuple(f"{name} {each}" for name, found in fresh.definitions.items() for each in found)
        headers.append((b"x-seqplat-definitions", b", ".join(_quoted(told))))
    if fresh.stream_lag_ms is not None:
        headers.append((b"x-seqplat-stream-lag-ms", b"%d" % fresh.stream_lag_ms))
    return headers


def partial_header(partial: Sequence[bool]) -> Headers:
    """Of a batch, where the deadline cut some users short: which, one bit for each user in the order asked, the first
    being the lowest bit of the first byte. As a byte sequence of RFC 9651; of 1,000 users it has 170 letters.
    """
    if not any(partial):
        return []
    return [(b"x-seqplat-partial-users", b":%s:" % b64encode(np.packbits(partial, bitorder="little").tobytes()))]


# Of most requests one after the other this is the same.
@lru_cache(256)
def _of_view(
    release: str,
    epochs: tuple[tuple[str, int | None], ...],
    sealed_through: dt.datetime | None,
    completeness: float,
    degraded: tuple[str, ...],
) -> Headers:
    headers = [(b"x-seqplat-release", release.encode()), (b"x-seqplat-completeness", b"%.6g" % completeness)]
    if said := ", ".join(f"{name}={epoch}" for name, epoch in epochs if epoch is not None):
        headers.append((b"x-seqplat-epoch", said.encode()))
    if sealed_through is not None:
        headers.append((b"x-seqplat-sealed-through", _rfc_3339(sealed_through)))
    if degraded:
        headers.append((b"x-seqplat-degraded", b", ".join(_quoted(degraded))))
    return headers


def entity_tag(version: str, asked: SelectionRequest, form: Form) -> bytes:
    """Changes whenever the answer's events could: with their version, which is also that of what the caller may see,
    and with the question.

    Weak, because ``meta`` moves with the clock, and compressed answers have the tag of the others.
    """
    digest = hashlib.blake2b(version.encode(), digest_size=12)
    digest.update(b"\0%s\0" % form.encode())
    digest.update(msgspec.json.encode(asked))
    return b'W/"%s"' % digest.hexdigest().encode()


def is_known(tag: bytes, if_none_match: bytes) -> bool:
    """Whether the caller has the answer with this tag, by ``If-None-Match``.

    NOTE: ``*`` is not looked at. It means "whatever there is", which no reader of sequences can have.
    """
    return tag.removeprefix(b"W/") in {each.strip().removeprefix(b"W/") for each in if_none_match.split(b",")}


def _rfc_3339(time: dt.datetime) -> bytes:
    return time.astimezone(dt.UTC).replace(tzinfo=None).isoformat().encode() + b"Z"


def _quoted(texts: tuple[str, ...]) -> Iterator[bytes]:
    """The first of them that a header has room for, in printable ASCII."""
    room = _MOST_PROBLEMS_BYTES
    for text in texts:
        plain = "".join(letter if " " <= letter <= "~" else "?" for letter in text)
        quoted = b'"%s"' % plain.replace("\\", "\\\\").replace('"', '\\"').encode()
        room -= len(quoted) + 2
        if room < 0:
            return
        yield quoted
