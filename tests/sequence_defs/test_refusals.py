"""What a model refuses is said with the near name and an example, and every field has one that is true."""

import datetime as dt
from pathlib import Path

import pytest
from pydantic import TypeAdapter

import sequence_defs.schema as models
from sequence_defs.authoring.examples import EXAMPLES, example, type_of
from sequence_defs.authoring.types import meant
from sequence_defs.compiler.discover import discover

MODELS = sorted(name for name in models.__all__ if type_of(name) and name not in ("Definition", "Shareable"))
FIELDS = [(name, field) for name in MODELS for field in sorted(type_of(name).model_fields)]  # type: ignore[union-attr]


@pytest.mark.parametrize("model", MODELS)
def test_every_field_has_an_example_that_is_true(model: str) -> None:
    known = type_of(model)
    assert known is not None
    for field, about in known.model_fields.items():
        written = example(model, field)
        assert written.startswith(f"{field}="), f"{model}.{field} has no example: add one to authoring/examples.py"
        value = eval(written.partition("=")[2], {"dt": dt, **vars(models)})
        TypeAdapter(about.annotation).validate_python(value)
        if not about.is_required() and field != "kind":
            assert value != about.default, f"{model}.{field}: an example that is the default says nothing"


def test_no_example_is_of_a_field_that_there_is_not() -> None:
    known = {field for _, field in FIELDS}
    assert {field for fields in EXAMPLES.values() for field in fields} <= known


_C = 'Column(name="x", dtype="string")'
_K = 'name="click", tenant="shop", source="s"'


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (f"EventType({_K}, columns=({_C}))", "columns: Column(...) is one, and no tuple of them: a tuple of one"),
        (f'EventType({_K}, columns=({_C},), natural_key="x")', 'a tuple of one has a comma: natural_key=("x",)'),
        (f'EventType({_K}, columns=({_C},), enrichments=(Enrich(enrichment="a")))', "enrichments=(Enrich(...),)"),
        ('Sequence(name="s", tenant="t", event_types=("a"), columns=("x",))', 'event_types=("a",)'),
        ('Sequence(name="s", tenant="t", event_types=("a",), columns=(Pick(name="x", columns={})))', "(Pick(...),)"),
        ('Join(location="a", on="x", columns=("y",))', 'on=("x",)'),
        ('Column(name="x", dtype="str")', "did you mean 'string'? There are bool, int8"),
        ('Column(name="x", dtype=str)', "did you mean 'string'?"),
        ('Column(name="x", dtype=None)', "None is no column type; there are bool"),
        ('Column(name="x", dtyp="string")', "not valid: dtyp: there is no such field; did you mean 'dtype'?"),
        ('Column("x", "string")', 'fields are given by name: Column(name="price", dtype="float64")'),
        ('Colum(name="x")', "did you mean 'Column'?"),
        ('EventType(name="Click Log", tenant="t")', "'Click Log' is no name: a name has lowercase letters"),
        ('EventType(name="Click Log", tenant="t")', 'source: it is missing; write source="orders"'),
        (f'EventType({_K}, columns=({_C},), lifecycle="liv")', "and not 'liv'; did you mean 'live'?"),
        (f'EventType({_K}, columns=({{"name": "x", "dtype": "str"}},))', "columns.0.dtype: 'str' is no column type"),
        (f"EventType({_K}, columns=({_C},), retention_days='much')", "and not 'much'; as in retention_days=365"),
        (f'EventType({_K}, columns=({_C},), zzz=1)', "there is no such field; EventType has name, tenant, "),
        (f'Versioned(name="v", tenant="t", source="s", key=("x",), columns=({_C},), valid_from="ts")',
         'and not \'ts\'; as in valid_from=Time(sql="changed_at")'),
        ('Source(name="s", tenant="t", columns=(), no_file_on=("sunday",))', "did you mean 'sun'?"),
    ],
)  # fmt: skip
def test_a_refusal_says_where_what_and_how(tmp_path: Path, written: str, said: str) -> None:
    file = tmp_path / "a.py"
    file.write_text(f"from sequence_defs import *\n\nfound = {written}\n")
    (error,) = discover(str(file)).errors
    assert error.where == (str(file), 3)
    assert said in error.message
    assert len(error.message) < 700


def test_an_import_that_is_misspelt_names_the_near_one(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("from sequence_defs import EventTyp\n")
    (error,) = discover(str(tmp_path)).errors
    assert error.message.endswith("did you mean 'EventType'?")


@pytest.mark.parametrize(
    ("word", "dtype"),
    [("int", "int64"), ("float", "float64"), ("bool", "bool"), ("boolean", "bool"), ("datetime", "timestamp"),
     ("List[str]", "list[string]"), ("array<int>", "list[int64]"), ("list", "list[string]"), ("VARCHAR(20)", "string"),
     ("vector[float32]", "vector[float32,64]"), ("vector(16)", "vector[float32,16]"), ("flaot64", "float64"),
     ("timestamp[us]", "timestamp"), ("", None), ("???", None)],
)  # fmt: skip
def test_words_of_other_languages(word: str, dtype: str | None) -> None:
    assert meant(word) == dtype
