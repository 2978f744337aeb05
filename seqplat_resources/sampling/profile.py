"""All that is seen of a sample: per column its type, how it may be a time, who it may name; and what is doubtful.

>>> from seqplat_resources.clock import SystemClock
>>> from seqplat_resources.sampling.layout import laid_out
>>> from seqplat_resources.sampling.pieces import sample_of
>>> sample = sample_of("orders/2024-05-01.csv", shop.sources_root, shop.home, SystemClock())
>>> profile = Profile.of(sample, laid_out(sample), now=dt.datetime(2024, 6, 1, tzinfo=dt.UTC))
>>> profile.dtypes
{'number': 'int64', 'member': 'string', 'at': 'timestamp', 'product': 'string', 'amount': 'int64'}
>>> profile.times[0].column, [each.column for each in profile.likely_users]
('at', ['member'])
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from types import MappingProxyType

from seqplat_resources.sampling.attributes import Attribute, Table, table_of
from seqplat_resources.sampling.layout import FileLayout
from seqplat_resources.sampling.moments import Moment, moments_of
from seqplat_resources.sampling.pieces import Sampled, SampleUnusable
from seqplat_resources.sampling.roles import UserCandidate, personal, users_among
from seqplat_resources.sampling.types import Inferred, inferred
from sequence_defs.schema.paths import quoted

# Two columns of which one is so much better are not worth a question.
_CLEARLY = 0.8


@dataclass(frozen=True)
class Profile:
    """``types`` and ``personal`` (why, or empty) by column."""

    sample: Sampled
    written: FileLayout
    table: Table
    types: Mapping[str, Inferred]
    moments: tuple[Moment, ...]
    personal: Mapping[str, str]

    @classmethod
    def of(
        cls,
        sample: Sampled,
        written: FileLayout,
        now: dt.datetime,
        *,
        columns: Sequence[str] = (),
        dtypes: Mapping[str, str] = MappingProxyType({}),
    ) -> "Profile":
        """Look at all columns, or at those named; ``dtypes`` says of some which type they have.

        Raises:
            SampleUnusable: nothing of it can be read, or it has no column of a name that is given.
        """
        table = table_of(sample, written)
        if columns:
            known = {each.name: each for each in table.attributes}
            names = dict.fromkeys(column_of(table.attributes, name, "--columns") for name in columns)
            table = replace(table, attributes=tuple(known[name] for name in names))
        given = {column_of(table.attributes, name, "--type"): dtype for name, dtype in dtypes.items()}
        types = {
            each.name: Inferred(given[each.name]) if each.name in given else inferred(each) for each in table.attributes
        }
        found = [way for each in table.attributes for way in moments_of(each, types[each.name].dtype, now)]
        timed = {way.column for way in found}
        why = {each.name: "" if each.name in timed else personal(each) for each in table.attributes}
        return cls(sample, written, table, types, tuple(sorted(found, key=lambda way: -way.score)), why)

    @cached_property
    def dtypes(self) -> dict[str, str]:
        """Declared types by column; that of a time as its reading needs it."""
        return {name: found.dtype for name, found in self.types.items()}

    @cached_property
    def users(self) -> list[UserCandidate]:
        return users_among(self.table.attributes, self.dtypes)

    @property
    def likely_users(self) -> list[UserCandidate]:
        """Those whose names say it."""
        return [each for each in self.users if each.score > 0]

    def column(self, name: str, option: str) -> str:
        """The column of a name, or of what the file calls it.

        Raises:
            SampleUnusable: there is none.
        """
        return column_of(self.table.attributes, name, option)

    def attribute(self, name: str) -> Attribute:
        return next(each for each in self.table.attributes if each.name == name)

    def readings(self, column: str) -> list[Moment]:
        """How one column may be read as a time."""
        return [each for each in self.moments if each.column == column]

    @property
    def times(self) -> list[Moment]:
        """The best reading of each column that may be a time, best first."""
        return list({each.column: each for each in reversed(self.moments)}.values())[::-1] if self.moments else []


def column_of(attributes: Sequence[Attribute], name: str, option: str) -> str:
    """As ``Profile.column``."""
    called = {each.field: each.name for each in attributes} | {quoted(each.name): each.name for each in attributes}
    known = {each.name: each.name for each in attributes}
    found = known.get(name) or called.get(name) or called.get(quoted(name))
    if found is None:
        near = get_close_matches(name, known, n=1)
        shown = ", ".join(list(known)[:12]) + (", ..." if len(known) > 12 else "")
        guess = f"did you mean {near[0]}?" if near else f"it has {shown}"
        raise SampleUnusable(f"{option}: the sample has no column {name!r}; {guess}")
    return found


def is_clear(scores: Sequence[float]) -> bool:
    """Whether the first of some, best first, is so much better than the second that nobody need be asked."""
    return bool(scores) and (len(scores) == 1 or scores[0] - scores[1] >= _CLEARLY)
