"""Labels of a training set with the recorded answers that they have, and what becomes of labels that have none."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import polars as pl

from seqplat_resources.release.query import Query
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.training.answered.match import ANSWER, AnswerMatch, matched
from seqplat_resources.training.answered.served import ServedReader
from seqplat_resources.training.answered.write import asked_of
from seqplat_resources.training.given.labels import LABEL_ID, LabelRows, LabelsRefused
from seqplat_resources.training.revisions import USER, RevisionReader

UNSERVED = "without a recorded answer"
# Of answers to other questions, as many are named.
_NAMED = 3


@dataclass(frozen=True)
class ServedLabels:
    """``found`` has ``label_id``, ``ANSWER`` and ``length`` of each label that has an answer, in the labels' order."""

    reader: ServedReader
    match: AnswerMatch
    asked: str
    labels: LabelRows
    found: pl.DataFrame

    @classmethod
    def open(
        cls,
        runtime: Runtime,
        reader: RevisionReader,
        query: Query,
        labels: LabelRows,
        match: AnswerMatch,
        versions: Mapping[str, int],
    ) -> "ServedLabels":
        """
        Raises:
            LabelsRefused: they have no such column of requests. And as ``ServedReader.open``.
        """
        match = match.of_labels(labels.rows.columns, labels.source)
        served = ServedReader.open(runtime, reader, query, versions)
        asked = asked_of(query, reader.plan.definition.length)
        shown = labels.rows.filter(~pl.col(LABEL_ID).is_in(labels.empty.implode()))
        answers = served.answers(shown[labels.columns.user]).select(*ANSWER, "query", "length")
        found = matched(shown, answers, labels.columns, match, asked).select(LABEL_ID, *ANSWER, "length")
        return cls(served, match, asked, labels, found)

    def kept(self) -> LabelRows:
        """The labels, as far as the policy wants those without an answer; these are counted.

        Raises:
            LabelsRefused: it refuses them.
        """
        labels = self.labels
        has_none = ~labels.rows[LABEL_ID].is_in(self.found[LABEL_ID].implode())
        has_none &= ~labels.rows[LABEL_ID].is_in(labels.empty.implode())
        if not (count := int(has_none.sum())):
            return labels
        if self.match.on_unserved == "refuse":
            raise LabelsRefused(self._refusal(count), {UNSERVED: count})
        rows = labels.rows.filter(~has_none) if self.match.on_unserved == "drop" else labels.rows
        return replace(labels, rows=rows, counts={**labels.counts, UNSERVED: count})

    def _refusal(self, count: int) -> str:
        if self.match.request is not None:
            how, fix = f"by the request in {self.match.request!r}", "the column of request ids (--request)"
        else:
            how = f"to {self.asked} within {self.match.within} before its time"
            fix = "a longer --within, or ask what was asked (--length, --where, --event-types)"
        said = [f"{number:,} to {query}" for query, number in self.reader.asked().head(_NAMED).iter_rows()]
        return (
            f"labels {self.labels.source}: {count:,} of {self.labels.rows.height:,} have no recorded answer {how}; "
            f"recorded are {', '.join(said) or 'none'}; say --on-unserved drop or keep, {fix}"
        )

    def counted(self) -> pl.DataFrame:
        """Of users with answers: ``_user``, ascending, and how many ``rows`` their labels' answers have."""
        each = self.found.unique(ANSWER).group_by(USER).agg(pl.col("length").sum().alias("rows"))
        return each.sort(USER)

    def read(self, labels: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series, int]:
        """The rows of some labels' answers, as ``ServedReader.read`` gives them; the number of each label's answer, or
        null; and how many rows the lake does not have."""
        found = labels.select(LABEL_ID).join(self.found, on=LABEL_ID, how="left", maintain_order="left")
        answers = found.filter(pl.col("request").is_not_null()).unique(ANSWER, keep="first", maintain_order=True)
        answers = answers.select(*ANSWER).with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias("_answer"))
        numbers = found.join(answers, on=ANSWER, how="left", maintain_order="left")["_answer"]
        rows, gone = self.reader.read(answers)
        return rows, numbers, gone
