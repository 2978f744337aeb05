"""What is sent for values as people have them at hand: of NumPy, dates, one name."""

import datetime as dt
from typing import Any

import numpy as np
import pytest

from serving.client.questions import Selection, Similar, as_body, as_parameters, explained

NOON = dt.datetime(2017, 12, 1, 12)


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (NOON, "2017-12-01T12:00:00Z"),
        (NOON.replace(tzinfo=dt.timezone(dt.timedelta(hours=2))), "2017-12-01T10:00:00Z"),
        (NOON.date(), "2017-12-01T00:00:00Z"),
        (np.datetime64("2017-12-01"), "2017-12-01T00:00:00Z"),
        (np.datetime64("2017-12-01T12:00:00.5", "ns"), "2017-12-01T12:00:00.500000Z"),
        ("2017-12-01T12:00:00Z", "2017-12-01T12:00:00Z"),
        (np.datetime64("NaT"), "NaT"),  # which the server refuses
    ],
)
def test_times(value: Any, sent: str) -> None:
    selection: Selection = {"since": value}
    assert as_body(selection) == as_parameters(selection) == {"since": sent}


@pytest.mark.parametrize("number", [7, np.int64(7), np.uint8(7)])
def test_whole_numbers(number: Any) -> None:
    body = as_body({"limit": number, "top_k": Similar("v", np.array([0.5]), k=number)})
    assert (type(body["limit"]), type(body["top_k"])) == (int, int)
    assert as_parameters({"limit": number}) == {"limit": "7"}


def test_names() -> None:
    assert as_body({"columns": ("a", "b")}) == as_body({"columns": "a,b"}) == {"columns": ["a", "b"]}
    assert as_body({"columns": np.array(["a"])}) == {"columns": ["a"]}


def test_what_the_server_is_left_to_refuse() -> None:
    unknown: Any = {"limits": 3, "limit": "many"}
    assert as_body(unknown) == unknown


def test_what_is_left_out_is_not_sent() -> None:
    nothing: Any = {"limit": None, "since": None}
    assert as_body(nothing) == {}


def test_an_explanation_of_one_event_type_on_one_day() -> None:
    assert explained("shop", "u", "1", None, None).parameters == {"event_id": "1"}
    for day in (NOON, NOON.date(), np.datetime64(NOON), "2017-12-01"):
        asked = explained("shop", "u", "1", "click", day)  # type: ignore[arg-type]
        assert asked.parameters == {"event_id": "1", "event_type": "click", "day": "2017-12-01"}
