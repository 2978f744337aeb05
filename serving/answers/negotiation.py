"""Which form and which coding of an answer a request accepts (RFC 9110, 12.5)."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

from serving.answers import arrow
from serving.answers.encoding import Coding
from serving.api.refusals import Refusal

Form = Literal["json", "arrow"]

MEDIA_TYPES: dict[Form, str] = {"json": "application/json", "arrow": arrow.MEDIA_TYPE}
# Preferred in this order where the request does not care.
_CODINGS: tuple[Coding, ...] = ("zstd", "gzip", "identity")


class NotAcceptable(Refusal):
    """The request accepts no form that there is."""

    def __init__(self, accept: str) -> None:
        fix = f"accept {' or '.join(MEDIA_TYPES.values())}"
        what = f"there is no answer in the form {accept!r}"
        super().__init__("not-acceptable", 406, what, field="Accept", fix=fix, headers={})


# Clients send few different headers, and always the same. Whoever sends a long one has it read each time.
_SHORT_CHARS = 256
# What comes later in a longer one is passed over: reading all of 100 kB takes as long as ten answers.
_MOST_CHARS = 2_048


def form_of(accept: str | None) -> Form:
    """JSON unless something else is preferred.

    Raises:
        NotAcceptable: neither is accepted.
    """
    return _form_of(accept) if len(accept or "") <= _SHORT_CHARS else _form_of.__wrapped__(accept)


def coding_of(accept_encoding: str | None) -> Coding:
    """Not compressed where the request does not say that it may be."""
    is_short = len(accept_encoding or "") <= _SHORT_CHARS
    return _coding_of(accept_encoding) if is_short else _coding_of.__wrapped__(accept_encoding)


@lru_cache(256)
def _form_of(accept: str | None) -> Form:
    if accept is None or not accept.strip():
        return "json"
    weights = dict(_weighted(accept))
    best: tuple[float, Form] | None = None
    for form, media_type in MEDIA_TYPES.items():
        kind = media_type.partition("/")[0]
        weight = next((weights[name] for name in (media_type, f"{kind}/*", "*/*") if name in weights), 0.0)
        if weight > 0 and (best is None or weight > best[0]):
            best = (weight, form)
    if best is None:
        raise NotAcceptable(accept)
    return best[1]


@lru_cache(256)
def _coding_of(accept_encoding: str | None) -> Coding:
    if not accept_encoding:
        return "identity"
    weights = {"identity": 0.001} | dict(_weighted(accept_encoding))
    found = [(weights.get(coding, weights.get("*", 0.0)), coding) for coding in _CODINGS]
    # The first of the heaviest; and where even "as it is" is ruled out, that is still better than nothing.
    return max(found, key=lambda each: each[0])[1] if any(weight > 0 for weight, _ in found) else "identity"


def _weighted(header: str) -> Iterator[tuple[str, float]]:
    for part in header[:_MOST_CHARS].lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                weight = _weight(parameter[2:])
        yield name, weight


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0
