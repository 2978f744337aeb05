"""``NaN`` and ``Infinity`` in JSON, which has no such numbers, though Python and others write them."""

import re

# Texts are matched first, so that none is touched.
_NO_NUMBER = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b', re.DOTALL)


def with_numbers_as_texts(written: bytes) -> bytes:
    """JSON with these as the texts that they are written as; what has none of them is given back as it is."""
    if b"NaN" not in written and b"Infinity" not in written:
        return written
    return _NO_NUMBER.sub(_quoted, written)


def _quoted(found: re.Match[bytes]) -> bytes:
    return found[0] if found[0][:1] == b'"' else b'"' + found[0] + b'"'
