"""The page of all fields is that of the models, and names the rules that look at each."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sequence_defs.analysis.diagnostics import RULES
from sequence_defs.analysis.reference import TOUCHES, page
from sequence_defs.authoring.examples import type_of
from sequence_defs.compiler.project import Project
from tests.sequence_defs.test_rules import CASES, broken
from tests.sequence_defs.touched import touched

PAGE = Path(__file__).parents[2] / "docs" / "definitions.md"


def test_the_page_is_generated_from_the_models() -> None:
    assert PAGE.read_text() == page(), "run `python -m sequence_defs.analysis.reference > docs/definitions.md`"


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_rule_names_fields_that_there_are(rule: str) -> None:
    for name in TOUCHES[rule].split():
        model, _, field = name.partition(".")
        assert model == "*" or field in getattr(type_of(model), "model_fields", {}), f"{name} of {rule}"


def test_what_trips_a_rule_is_a_field_that_it_names(load: Callable[[str], Project], shop_text: str) -> None:
    """Of the first case of each: at least one of the fields that differ from the sound shop."""
    sound = load(shop_text).all
    seen: dict[str, bool] = {}
    for case in CASES:
        if not seen.get(case.rule):
            fields = touched(sound, load(broken(shop_text, case)).all)
            known = set(TOUCHES[case.rule].split())
            seen[case.rule] = bool(known & fields or known & {f"*.{name.partition('.')[2]}" for name in fields})
    assert [rule for rule, is_named in seen.items() if not is_named] == []
