"""Decoded records as JSON texts."""

import base64
import json


def json_of(record: object) -> bytes:
    """Bytes are base64. NaN and infinities are written as Python does, which the reader of messages knows.

    Raises:
        TypeError, RecursionError: something has no JSON, or is nested too deep.
    """
    return json.dumps(record, default=base64_of, ensure_ascii=False, separators=(",", ":")).encode()


def base64_of(value: object) -> str:
    """The text of bytes."""
    if not isinstance(value, bytes):
        raise TypeError(f"{type(value).__name__} has no JSON")
    return base64.b64encode(value).decode()
