"""The definition and the factors of docs/readout.md are those there are."""

import re
from pathlib import Path

import pytest

from seqplat_resources.shadow.experiment.intervals import every_look_factor
from sequence_defs import Experiment, UserMetric
from sequence_defs.schema.experiment import MetricKind

PAGE = (Path(__file__).parents[2] / "docs" / "readout.md").read_text()
(EXAMPLE,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_example_is_an_experiment_with_the_metrics_of_the_printed_readout() -> None:
    found = eval(f"dict({EXAMPLE})", {"Experiment": Experiment, "UserMetric": UserMetric, "dict": dict})["experiment"]
    printed = PAGE.partition("metric    legacy")[2].partition("what to know")[0]
    assert [metric.name for metric in found.metrics] == re.findall(r"^    (\w+) ", printed, re.MULTILINE)
    assert all(f"| `{kind}` |" in PAGE for kind in MetricKind.__args__)


@pytest.mark.parametrize(("users", "factor"), [(10_000, "1.55"), (100_000, "1.65")])
def test_the_price_of_every_look_is_as_said(users: int, factor: str) -> None:
    assert factor in PAGE
    assert every_look_factor(users) / 1.96 == pytest.approx(float(factor), abs=0.005)
