"""What may be shown of a difference: of personal data only that it differs.

Counts, examples and verdicts are kept for longer than events, are printed, and are read in Dagster by people without
grants. So values of personal columns are not written, not even as a digest: few values are easily tried.
"""

from collections.abc import Set
from dataclasses import dataclass, replace

from seqplat_resources.comparison.contract import EVENT_ID, USER
from seqplat_resources.shadow.verdict.cohorts import Cohort
from seqplat_resources.shadow.verdict.record import Example

HIDDEN = "(personal data)"


@dataclass(frozen=True)
class Shown:
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
