"""What operators are given: rules that speak of metrics there are, and a page that explains all of them."""

import json
import re
from pathlib import Path

import pytest
import yaml
from litestar import Litestar
from litestar.testing import TestClient

DOCS = Path(__file__).parents[2] / "docs"
_NAME = re.compile(r"\b(?:seqplat|process)_[a-z_]+\b(?!:)")
_SUFFIX = re.compile(r"_(bucket|count|sum)$")


@pytest.fixture(scope="module")
def exposed(client: TestClient[Litestar]) -> set[str]:
    """Names of all metrics, also of those that have no value yet."""
    return set(re.findall(r"^# TYPE (\S+) ", client.get("/metrics").text, re.M))


def _unknown(text: str, exposed: set[str]) -> set[str]:
    return {name for name in _NAME.findall(text) if name not in exposed and _SUFFIX.sub("", name) not in exposed}


def test_every_rule_speaks_of_metrics_there_are(exposed: set[str]) -> None:
    groups = yaml.safe_load((DOCS / "prometheus-rules.yaml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    recorded = {rule["record"] for rule in rules if "record" in rule}
    for rule in rules:
        assert _unknown(rule["expr"], exposed) == set()
        assert set(re.findall(r"\bseqplat:[a-z_:0-9]+", rule["expr"])) <= recorded
        if "alert" in rule:
            assert rule["annotations"].keys() == {"summary", "action"}
            assert rule["labels"]["severity"] in {"warning", "critical"}


def test_every_panel_speaks_of_metrics_there_are(exposed: set[str]) -> None:
    dashboard = json.loads((DOCS / "grafana-dashboard.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(asked) > 10
    assert {name for expr in asked for name in _unknown(expr, exposed)} == set()


def test_every_metric_and_alert_is_explained(exposed: set[str]) -> None:
    page = (DOCS / "operations.md").read_text()
    ours = {name for name in exposed if name.startswith("seqplat_")}
    assert {name for name in ours if f"`{name}`" not in page} == set()
    rules = (DOCS / "prometheus-rules.yaml").read_text()
    documented = set(re.findall(r"`(Seqplat[A-Za-z]+)`", page))
    assert documented == set(re.findall(r"alert: (\w+)", rules))


def test_no_metric_is_explained_that_is_gone(exposed: set[str]) -> None:
    page = (DOCS / "operations.md").read_text()
    assert _unknown(" ".join(re.findall(r"^\| `(seqplat_[a-z_]+)`", page, re.M)), exposed) == set()
