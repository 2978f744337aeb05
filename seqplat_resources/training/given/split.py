"""Parts of a training set: which of its labels a model learns from, and which it is judged by. A user is in one part.

>>> split = LabelSplit.parsed("train=0.5,test=0.5", seed=1)
>>> users = pl.DataFrame({"user": ["ann", "bob", "cleo", "ann"]})
>>> split.told(users, "user")["split"].to_list()
['test', 'test', 'train', 'test']
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import polars as pl
import polars_hash as plh

from seqplat_resources.release.query import QueryError

SPLIT = "split"
_FIX = "write names and shares that are 1 in all, as in train=0.8,valid=0.1,test=0.1"
_TEXT = "_text"
_LAST = (1 << 64) - 1


@dataclass(frozen=True)
class LabelSplit:
    """Names and their shares of users. Who is in which part is said by a hash of ``seed`` and user: neither other users
    nor other shares of parts behind it move anybody, and other sequences, days and versions put everybody where he was.

    Raises:
        QueryError: no names, a name twice, or shares that are not above 0 and 1 in all.
    """

    shares: tuple[tuple[str, float], ...]
    seed: int = 0

    def __post_init__(self) -> None:
        names = [name for name, _ in self.shares]
        if not all(names) or len(set(names)) < len(names):
            raise QueryError(SPLIT, f"there are the names {', '.join(map(repr, names))}", fix=_FIX)
        total = math.fsum(share for _, share in self.shares)
        if not all(share > 0 for _, share in self.shares) or abs(total - 1) > 1e-9:
            raise QueryError(SPLIT, f"shares are {total:g} in all, each above 0", fix=_FIX)

    @classmethod
    def parsed(cls, text: str, seed: int = 0) -> "LabelSplit":
        """From ``train=0.9,test=0.1``.

        Raises:
            QueryError: it says something else.
        """
        shares = []
        for part in text.split(","):
            name, _, share = part.partition("=")
            try:
                shares.append((name.strip(), float(share)))
            except ValueError:
                raise QueryError(SPLIT, f"{part.strip()!r} is no name with a share", fix=_FIX) from None
        return cls(tuple(shares), seed)

    def said(self) -> dict[str, Any]:
        """As values of JSON."""
        return {"shares": [list(share) for share in self.shares], "seed": self.seed}

    @classmethod
    def heard(cls, said: Mapping[str, Any]) -> "LabelSplit":
        """From what ``said`` gave."""
        return cls(tuple((name, share) for name, share in said["shares"]), said["seed"])

    def told(self, labels: pl.DataFrame, user: str) -> pl.DataFrame:
        """The labels, and behind their columns ``split``. Labels without a user are in the part of the empty name."""
        text = pl.format("{}:{}", pl.lit(self.seed), pl.col(user).cast(pl.String).fill_null(""))
        hashed = labels.lazy().select(text.alias(_TEXT)).select(plh.col(_TEXT).nchash.xxhash64()).collect()[_TEXT]
        ends = [min(round(end * 2.0**64), _LAST) for end in accumulate(share for _, share in self.shares)]
        part: pl.Expr = pl.lit(self.shares[-1][0])
        for (name, _), end in reversed([*zip(self.shares, ends, strict=True)][:-1]):
            part = pl.when(pl.col(_TEXT) < pl.lit(end, pl.UInt64)).then(pl.lit(name)).otherwise(part)
        return labels.with_columns(hashed.to_frame().select(part.alias(SPLIT)).to_series())
