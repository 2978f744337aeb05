"""A path says where a column is read, whatever producers call their fields."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequence_defs.schema.paths import Match, Path, PathError, parse_path, quoted


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("member", ("member",)),
        ("payload.after.member", ("payload", "after", "member")),
        ("$insert_id", ("$insert_id",)),
        ("_id", ("_id",)),
        ("@timestamp", ("@timestamp",)),
        ("__op", ("__op",)),
        ("event-name", ("event-name",)),
        ("Event Name", ("Event Name",)),
        ("größe.größe", ("größe", "größe")),
        ('"event.name"', ("event.name",)),
        ('a."b.c"."d""e"', ("a", "b.c", 'd"e')),
        ("items[0].sku", ("items", 0, "sku")),
        ("items[-1][2]", ("items", -1, 2)),
        ("event_params[key=page].value.string_value", ("event_params", Match("key", "page"), "value", "string_value")),
        ('a["x=y"="]"]', ("a", Match("x=y", "]"))),
        ("a[k=v w]", ("a", Match("k", "v w"))),
        ("a[k=]", ("a", Match("k", ""))),
    ],
)
def test_a_path_is_taken_apart(text: str, steps: Path) -> None:
    assert parse_path(text) == steps


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it ends where a name is expected"),
        ("a.", "it ends where a name is expected"),
        ("a..b", "a name is expected at '.b'"),
        (".a", "a name is expected at '.a'"),
        ('""', "a name is expected at '\"\"'"),
        ('"a', "a name is expected at '\"a'"),
        ("a]", "a point, [number] or [name=value] is expected at ']'"),
        ("a[x]", "a point, [number] or [name=value] is expected at '[x]'"),
        ("a[]", "is expected at '[]'"),
        ("a[0]b", "is expected at 'b'"),
        ("[0]", "a name is expected at '[0]'"),
        ("a[99999999999]", "is expected at '[99999999999]'"),
    ],
)
def test_what_is_no_path_says_where(text: str, said: str) -> None:
    with pytest.raises(PathError) as raised:
        parse_path(text)
    assert said in str(raised.value)


@given(st.text(min_size=1))
def test_any_name_can_be_written(name: str) -> None:
    assert parse_path(quoted(name)) == (name,)
    assert parse_path(f"a.{quoted(name)}[{quoted(name)}={quoted(name)}]")[1:] == (name, Match(name, name))


@given(st.text(alphabet='ab.[]="0-', max_size=12))
def test_a_text_is_a_path_or_refused(text: str) -> None:
    try:
        steps = parse_path(text)
    except PathError:
        return
    assert isinstance(steps[0], str)
    assert all(step != "" for step in steps)
