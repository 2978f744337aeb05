"""Answers that are one JSON document, made at once: compressed, and with a tag by which the caller need not get it
twice."""

import hashlib

from litestar.types import Scope

from serving.answers.answer import Ready
from serving.answers.encoding import COMPRESS_FROM_BYTES, compressed_pieces
from serving.answers.headers import CACHING, is_known
from serving.answers.negotiation import MEDIA_TYPES, coding_of


def whole_json(scope: Scope, body: bytes) -> Ready:
    """The document, or 304 where the caller has it. The tag is of its bytes, whatever they are compressed by."""
    given = {name: value for name, value in scope["headers"] if name in (b"accept-encoding", b"if-none-match")}
    tag = b'W/"%s"' % hashlib.blake2b(body, digest_size=12).hexdigest().encode()
    if is_known(tag, given.get(b"if-none-match", b"")):
        return Ready(304, [*CACHING, (b"etag", tag)], b"")
    coding = coding_of(given.get(b"accept-encoding", b"").decode("latin-1"))
    headers = [*CACHING, (b"etag", tag), (b"content-type", MEDIA_TYPES["json"].encode())]
    if coding != "identity" and len(body) >= COMPRESS_FROM_BYTES:
        body = b"".join(compressed_pieces([body], coding))
        headers.append((b"content-encoding", coding.encode()))
    headers.append((b"content-length", b"%d" % len(body)))
    return Ready(200, headers, body)
