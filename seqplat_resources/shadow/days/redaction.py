"""What may be shown of a difference: of personal data only that it differs.

Counts, examples and verdicts are kept for longer than events, are printed, and are read in Dagster by people without
grants. So values of personal columns are not written, not even as a digest: few values are easily tried.
"""

from collections.abc import Iterator, Set
from dataclasses import dataclass, replace

import polars as pl

from seqplat_resources.comparison.causes.rules import ONLY_OURS, UNEXPLAINED
from seqplat_resources.comparison.contract import EVENT_ID, EVENT_TIME, USER
from seqplat_resources.comparison.examples import worst
from seqplat_resources.shadow.verdict.cohorts import Cohort
from seqplat_resources.shadow.verdict.record import Example

HIDDEN = "(personal data)"
EXAMPLES, _OF_EACH = 20, 3


@dataclass(frozen=True)
class Redaction:
    """Without what is ``personal``, by our names of columns."""

    personal: Set[str]

    def user(self, user: str) -> str:
        """The user id where it may be shown."""
        return HIDDEN if USER in self.personal else user

    def example(self, example: Example, column: str | None) -> Example:
        """``column`` is the one whose values it tells; None where it tells none."""
        says = f"{column} differs; its values are personal data" if column in self.personal else example.says
        event_id = None if EVENT_ID in self.personal else example.event_id
        return Example(self.user(example.user), event_id, example.cause, says)

    def cohort(self, cohort: Cohort) -> Cohort:
        """Without its users, where those may not be shown."""
        return replace(cohort, users=()) if USER in self.personal else cohort


def examples_of(found: pl.DataFrame) -> Iterator[tuple[Example, str | None]]:
    """The worst of each cause and kind, unexplained ones first, and of which column."""
    few = pl.concat([found.clear(), *(worst(part, each=_OF_EACH) for part in found.partition_by("cause"))])
    few = few.sort(pl.col("cause") != UNEXPLAINED, "kind", "column", maintain_order=True)
    for row in few.head(EXAMPLES).iter_rows(named=True):
        if row["column"] is None:
            side = "ours" if row["kind"] == ONLY_OURS else "legacy"
            says = f"only {side} has it, at {row[EVENT_TIME]:%Y-%m-%d %H:%M:%S}"
        else:
            says = f"{row['column']} is {row['ours']}, in legacy {row['legacy']}"
        yield Example(row[USER], row[EVENT_ID], row["cause"], says), row["column"]
