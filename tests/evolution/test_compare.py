"""Every change of a definition has a class, is said once where it began, and names what it reaches and a way out."""

import pytest

import sequence_defs.schema
from sequence_defs import Column, EventType, Followed, Moments, Pick, TrainingSet
from sequence_defs.analysis.runner import analyse
from sequence_defs.compiler.project import Project
from sequence_defs.evolution.change import DefinitionChange
from sequence_defs.evolution.classes import CLASSES
from sequence_defs.evolution.compare import changes, class_of
from sequence_defs.schema import Definition, Shareable
from sequence_defs.schema.base import Part
from tests.evolution.changes import (
    CASES,
    COMMON,
    SHOP,
    START,
    Case,
    altered,
    both,
    case,
    change,
    column,
    more,
    release_of,
)

SHOWN = ("sku", "amount", "note", "shout", "vector", "brand", "cents")
NOT_WRITTEN_BY_AUTHORS = {Definition, Shareable}


def changes_of(made: Case) -> list[DefinitionChange]:
    return changes(release_of(SHOP), release_of(made.definitions))


def test_every_field_of_every_model_has_a_class() -> None:
    """A new field fails here until somebody says what a change of it does."""
    models = {m for name in dir(sequence_defs.schema) if isinstance(m := getattr(sequence_defs.schema, name), type)}
    parts = {model for model in models if issubclass(model, Part)} - NOT_WRITTEN_BY_AUTHORS
    assert {model: {*CLASSES.get(model, ())} for model in parts} == {model: {*model.model_fields} for model in parts}


@pytest.mark.parametrize("made", CASES, ids=str)
def test_a_change_has_its_class_and_its_place(made: Case) -> None:
    found = changes_of(made)
    assert (class_of(found), {each.place for each in found} >= {made.place}) == (made.kind, True), found
    at = next(each for each in found if each.place == made.place)
    assert at.kind == made.kind
    assert all(bool(each.way_out) == (each.kind == "breaking") and each.why for each in found)
    assert [DefinitionChange.heard(each.said()) for each in found] == found


def test_what_the_table_changes_could_be_published() -> None:
    """Cases are what an author can write: nothing of them is refused by analysis."""
    projects = {
        made.name: Project(made.definitions, {"declarative": "code-1", "priced_line": "code-1"}) for made in CASES
    }
    found = {name: [str(each) for each in analyse(p) if each.severity == "error"] for name, p in projects.items()}
    assert {name: errors for name, errors in found.items() if errors} == {}


def test_nothing_changes_between_equals() -> None:
    assert changes(release_of(SHOP), release_of(SHOP)) == []


def test_a_change_is_said_once_at_its_origin_with_what_it_reaches() -> None:
    (found,) = changes_of(case("wider_type"))
    assert found.object == "sources/purchases"
    assert found.reach.event_types == ("purchase",)
    assert found.reach.columns == ("purchase.amount", "purchase.cents")
    assert found.reach.sequences == ("activity",)


def test_a_column_that_decides_reaches_all_of_its_events() -> None:
    found = next(each for each in changes_of(case("user_in_the_source")))
    assert (found.reach.event_types, found.reach.columns) == (("purchase",), ())


def test_the_way_out_of_another_type_can_be_gone() -> None:
    """Follow what is said, to the letter: a version beside it first, then the name is given to that."""
    (found,) = changes_of(case("type_of_a_derived"))
    assert "'cents@2'" in found.way_out
    assert 'Pick(name="cents", columns={"purchase": "cents@2"})' in found.way_out
    beside = both(
        more("size", Column(name="cents@2", dtype="float64", sql="amount * 100.0")),
    )(SHOP)
    first = changes(release_of(SHOP), release_of(beside))
    assert class_of(first) == "compatible"
    named = change(
        "activity",
        columns=(
            "sku",
            "amount",
            "note",
            "shout",
            "vector",
            "brand",
            Pick(name="cents", columns={"purchase": "cents@2"}),
        ),
    )(beside)
    (flip,) = changes(release_of(beside), release_of(named))
    assert (flip.place, flip.kind) == ("sequences/activity columns.cents", "semantic")
    assert "readers get float64 where they got int64" in flip.why


def test_a_name_given_to_a_column_of_another_type_breaks() -> None:
    picked = Pick(name="note", columns={"purchase": "amount"})
    named = change("activity", columns=("sku", "amount", picked, "shout", "vector", "brand", "cents"))(SHOP)
    (found,) = changes(release_of(SHOP), release_of(named))
    assert found.kind == "breaking"


def test_a_rename_is_seen_and_its_way_out_keeps_what_is_stored() -> None:
    found = next(each for each in changes_of(case("renamed_column")) if each.field == "columns.shout")
    assert "rename to 'loud'" in found.why
    assert 'Pick(name="loud", columns={"purchase": "shout"})' in found.way_out


def test_the_next_free_version_is_offered() -> None:
    with_second = more("purchase", Column(name="shout@2", dtype="string", sql="note"))(SHOP)
    (found,) = changes(release_of(with_second), release_of(column("purchase", "shout", dtype="binary")(with_second)))
    assert "'shout@3'" in found.way_out


def test_another_code_of_an_executor_is_said_once() -> None:
    priced = change("purchase", executor="priced_line")(SHOP)
    before = release_of(priced, executors={"declarative": "1", "priced_line": "1"})
    after = release_of(priced, executors={"declarative": "1", "priced_line": "2"})
    (found,) = changes(before, after)
    assert (found.place, found.kind, found.reach.event_types) == (
        "executors/priced_line code",
        "semantic",
        ("purchase",),
    )


BUYERS = TrainingSet(
    name="buyers",
    **COMMON,
    sequence="activity",
    moments=Moments(events="visit"),
    outcomes=(Followed(name="bought", events="purchase", within_h=20, where="amount > 3"),),
    start=START,
)


@pytest.mark.parametrize(
    ("made", "reached"),
    [
        ("wider_type", True),  # of the amount that the condition names
        ("filter", True),
        ("longer", True),  # the sequence itself
        ("enrichment_filter", True),  # by the brand that the sequence shows
        ("description", False),
    ],
)
def test_training_sets_are_reached_by_their_sequence_and_their_labels(made: str, reached: bool) -> None:
    found = changes(release_of((*SHOP, BUYERS)), release_of((*case(made).definitions, BUYERS)))
    assert any(each.reach.training == ("buyers",) for each in found) is reached, found


def test_labels_are_reached_by_the_columns_they_are_made_of() -> None:
    """No sequence shows the shelf; a condition names it, or does not."""
    purchases = next(each for each in SHOP if each.name == "purchase")
    assert isinstance(purchases, EventType)
    columns = tuple(altered(each, sql="UPPER(shelf)") if each.name == "shelf" else each for each in purchases.columns)
    after = tuple(altered(purchases, columns=columns) if each is purchases else each for each in SHOP)

    def reached(where: str) -> set[str]:
        of_shelf = altered(BUYERS, outcomes=(altered(BUYERS.outcomes[0], where=where),))
        found = changes(release_of((*SHOP, of_shelf)), release_of((*after, of_shelf)))
        return {name for each in found for name in each.reach.training}

    assert (reached("shelf = 's1'"), reached("amount > 3")) == ({"buyers"}, set())
