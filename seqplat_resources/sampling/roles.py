"""Which columns may name the user, which identify an event, and which hold personal data."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from seqplat_resources.sampling.attributes import Attribute
from sequence_defs.analysis.rules.identity import POSITION_NAMES

_PERSON = (
    r"user|member|customer|visitor|account|client|household|person|subscriber|player|shopper|patient|kunde|uid|"
    r"author|actor|viewer|listener|buyer|guest|rider|student|learner"
)
_USER = re.compile(rf"^(?:{_PERSON})(?:_?(?:id|uuid|key|no|nr|number|hash))?$", re.IGNORECASE)
_USER_LIKE = re.compile(rf"(?:^|_)(?:{_PERSON})(?:_|$)|(?:{_PERSON})_?id$", re.IGNORECASE)
_DEVICE = re.compile(r"(?:^|_)(device|session|cookie|anonymous|browser|e_?mail)(?:_?(?:id|address))?$", re.IGNORECASE)
_NO_USER = re.compile(r"(?:_|^)(agent|type|kind|role|name|tz|min|lat|lon|country|city)(?:_|$)", re.IGNORECASE)
# Where so many rows say nothing, another column that always does is better.
_MOSTLY_THERE = 0.2
_EVENT = re.compile(
    r"^(event|message|msg|click|record|row|transaction|order|line|insert)?_?(id|uuid|key)(_value)?$"
    r"|^(order|transaction|booking|invoice|receipt|ticket)(_(no|nr|number))?$",
    re.IGNORECASE,
)
_KEY = re.compile(r"(^|_)(id|uuid|guid|key|no|nr|number)(_value)?$|Id$|ID$", re.IGNORECASE)
_KEY_TYPES = ("string", "int64", "int32", "int16", "int8")
_NATURAL_TYPES = (*_KEY_TYPES, "timestamp", "date", "bool")
# Parts of a natural key that are tried, and of how many columns.
_MOST_PARTS, _MOST_TRIED = 5, 40

_PERSONAL_NAMES = re.compile(
    r"(^|_)(e?mail|phone|tel|mobile|cell|ssn|passport|iban|birth(day|date)?|dob|street|address|addr|zip|postcode|"
    r"(first|last|sur|full|given|family|middle|user)_?name|ip(_?addr(ess)?)?|card_?(number|no|nr)|password|"
    r"driv\w*_licen[cs]e|licen[cs]e_?(plate|number|no|nr))(_|$)"
    r"|^name$|(First|Last|Full)Name$",
    re.IGNORECASE,
)
_PERSONAL_TEXTS = (
    ("e-mail addresses", r"^[^@\s]+@[^@\s]+\.[A-Za-z]{2,}$", 0.3),
    ("IP addresses", r"^(\d{1,3}\.){3}\d{1,3}$|^[0-9a-fA-F]{1,4}(:[0-9a-fA-F]{0,4}){3,7}$", 0.5),
    ("phone numbers", r"^(\+\d[\d ().-]{6,18}\d|\(?\d{2,5}\)?[ .-]\d{2,4}[ .-]\d{2,6})$", 0.5),
)
_CARD = r"^\d{4}[ -]?\d{4}[ -]?\d{4}[ -]?\d{1,7}$"
_LOOKED_AT = 500


@dataclass(frozen=True)
class UserCandidate:
    """A column for a role; the higher the ``score``, the more speaks for it."""

    column: str
    score: float
    why: str


def users_among(attributes: Sequence[Attribute], dtypes: dict[str, str]) -> list[UserCandidate]:
    """Columns that may name the user, best first. Those whose names say nothing of it have no score."""
    found = []
    for attribute in attributes:
        if dtypes[attribute.name] not in _KEY_TYPES:
            continue
        name, values = attribute.name, attribute.values
        known = values.drop_nulls()
        distinct = known.n_unique() if known.len() else 0
        if not distinct:
            continue
        score = 4.0 if _USER.search(name) else 2.0 if _USER_LIKE.search(name) else 1.0 if _DEVICE.search(name) else 0.0
        score = 0.0 if score < 4.0 and _NO_USER.search(name) else score
        nulls = values.null_count() / values.len()
        score -= 3.0 * nulls if score else 0.0
        score = min(score, 0.9) if nulls > _MOSTLY_THERE else score
        found.append(UserCandidate(name, score, f"{distinct:,} distinct, {nulls:.0%} null"))
    return sorted(found, key=lambda each: -each.score)


def identity_of(
    attributes: Sequence[Attribute], dtypes: dict[str, str], user: str, time: str
) -> tuple[tuple[str, ...], int]:
    """The columns that identify an event within its user, and how many rows of the sample say what another says.

    One that is called like an id and is unique is enough; else the time and as few others as make rows unique.
    """
    usable = {
        each.name: each.values
        for each in attributes
        if dtypes[each.name] in _NATURAL_TYPES and not each.values.null_count() and each.name not in POSITION_NAMES
    }
    usable.pop(user, None)
    rows = pl.DataFrame([*(values.alias(name) for name, values in usable.items())])
    owner = next(each.values for each in attributes if each.name == user)
    rows = rows.with_columns(_user=owner)

    def repeated(names: Sequence[str]) -> int:
        return rows.height - rows.select("_user", *names).n_unique()

    single = [
        name
        for name in usable
        if name != time and dtypes[name] in _KEY_TYPES and (_KEY.search(name) or _EVENT.search(name))
    ]
    single.sort(key=lambda name: 0 if _EVENT.search(name) else 1)
    for name in single:
        if repeated([name]) == 0:
            return (name,), 0
    almost = [name for name in single if _EVENT.search(name) and repeated([name]) < 0.05 * rows.height]
    if almost:
        return (almost[0],), repeated([almost[0]])
    return _natural([name for name in usable if name != time], [time] if time in usable else [], repeated)


def _natural(
    others: list[str], key: list[str], repeated: Callable[[Sequence[str]], int]
) -> tuple[tuple[str, ...], int]:
    left = repeated(key) if key else -1
    # A time alone is never taken: of a small sample it may be unique, of all that a user does it is not.
    while (left or len(key) < 2) and len(key) < _MOST_PARTS and others:
        tried = {name: repeated([*key, name]) for name in others[:_MOST_TRIED]}
        best = min(tried, key=lambda name: (tried[name], not _KEY.search(name)))
        if len(key) > 1 and tried[best] >= left:
            break
        key, left = [*key, best], tried[best]
        others.remove(best)
    return tuple(key), max(left, 0)


def personal(attribute: Attribute) -> str:
    """Why a column seems to hold personal data; empty if it does not."""
    if _PERSONAL_NAMES.search(attribute.name):
        return "by its name"
    texts = attribute.values.drop_nulls()
    if texts.dtype not in (pl.String(), pl.Int64()):
        return ""
    texts = texts.cast(pl.String()).unique(maintain_order=True).head(_LOOKED_AT)
    for what, pattern, share in _PERSONAL_TEXTS if texts.len() else ():
        if texts.str.contains(pattern).mean() > share:  # type: ignore[operator]
            return f"looks like {what}"
    cards = texts.filter(texts.str.contains(_CARD))
    if cards.len() * 2 > texts.len() and sum(map(_is_card, cards)) > 0.8 * cards.len():
        return "looks like card numbers"
    return ""


def _is_card(text: str) -> bool:
    """By its check digit."""
    digits = [int(each) for each in text if each.isdigit()][::-1]
    doubled = (2 * digit - 9 * (digit > 4) for digit in digits[1::2])
    return 13 <= len(digits) <= 19 and (sum(digits[::2]) + sum(doubled)) % 10 == 0
