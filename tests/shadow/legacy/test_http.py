"""A legacy service over a real connection: its answers, and users of whom it said nothing usable."""

import datetime as dt
import json
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
import pytest

from seqplat_resources.enrichment.breaker import FAILURES, OPEN_S
from seqplat_resources.enrichment.requests import SecretUnset
from seqplat_resources.shadow.legacy.http import AskedSequences
from seqplat_resources.shadow.legacy.sequences import NoLegacySequence
from sequence_defs.schema import Http, Sequence
from tests.building import ManualClock, utc
from tests.enrichment.http_service import Service, serving
from tests.shadow.legacy.test_blobs import AT, BLOBS, EXPECTED, GOOD, NONE, ORDERS, TYPES, event, legacy
from tests.sources.orders import Orders

AS_OF = utc(2024, 5, 2)
Opened = Callable[..., AskedSequences]


@pytest.fixture
def service() -> Iterator[Service]:
    with serving() as service:
        service.key = "users"
        yield service


@pytest.fixture
def opened(service: Service, tmp_path: Any) -> Iterator[Opened]:
    made: list[AskedSequences] = []

    def open_service(environment: dict[str, str] | None = None, **fields: Any) -> AskedSequences:
        at = Http(url=service.url, **{"deadline_ms": 5000, **fields})
        sequence = Sequence(
            name="s", tenant="shop", event_types=("buy", "view"), columns=("price", "vec"), legacy=legacy(at=at)
        )
        clock = ManualClock(AS_OF)
        runtime = Orders(tmp_path / str(len(made))).runtime(ORDERS, *TYPES, sequence, clock=clock)
        made.append(AskedSequences.open(runtime, "s", environment or {}))
        return made[-1]

    yield open_service
    for side in made:
        side.close()


def asked(side: AskedSequences, *users: int) -> tuple[list[dict[str, Any]], dict[str, str]]:
    found = side.of(pl.Series(users, dtype=pl.Int64()), AS_OF)
    assert found.rows.height + found.problems.height == len(users)
    return found.rows.to_dicts(), {user: why for user, _, why in found.problems.rows()}


def answering(*sequences: object) -> Callable[[list[Any]], bytes]:
    return lambda users: json.dumps({"sequences": sequences}).encode()


def test_users_are_asked_for_in_batches_and_remembered_as_of_an_instant(service: Service, opened: Opened) -> None:
    service.answer = lambda users: json.dumps({"sequences": [GOOD if user == 7 else [] for user in users]}).encode()
    side = opened(batch_size=2, cache_ttl_s=60)
    assert asked(side, 7, 8, 9) == ([EXPECTED, {"user_id": 8, **NONE}, {"user_id": 9, **NONE}], {})
    assert sorted(service.requests) == [[7, 8], [9]]
    assert {body["as_of"] for body in service.bodies} == {"2024-05-02T00:00:00Z"}
    assert asked(side, 9, 7)[0] == [{"user_id": 9, **NONE}, EXPECTED]
    assert len(service.requests) == 2
    side.of(pl.Series([7], dtype=pl.Int64()), AS_OF + dt.timedelta(days=1))
    assert service.requests[2:] == [[7]]


def test_a_user_of_whom_nothing_usable_is_said_is_named(service: Service, opened: Opened) -> None:
    hole = [event("7", AT), event("7", "noon")]
    service.answer = answering(GOOD, None, 5, {"events": []}, hole, [event("7", AT, usd=float("nan"))])
    found, problems = asked(opened(), 7, 2, 3, 4, 5, 6)
    assert [row["user_id"] for row in found] == [7, 6]
    assert str(found[1]["price"]) == "[nan]"
    assert problems == {
        "2": "null: legacy does not know the user",
        "3": "sequence: no array of events: Expected `array`, got `int`",
        "4": "sequence: no array of events: Expected `array`, got `object`",
        "5": "event 1: column at: noon is not int64",
    }


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (answering([]), "no answer: 1 sequences for 2 users"),
        (lambda users: b'{"values": []}', "no answer: an answer that is no JSON of sequences (ValidationError)"),
        (lambda users: b"<html>", "no answer: an answer that is no JSON of sequences (DecodeError)"),
        (lambda users: 404, "no answer: status 404"),
        ("hang", "no answer: ReadTimeout"),
    ],
)
def test_an_answer_that_is_none_names_all_users_of_its_batch(
    service: Service, opened: Opened, answer: Any, why: str
) -> None:
    service.answer = service.hang if answer == "hang" else answer
    side = opened(batch_size=2, deadline_ms=300 if answer == "hang" else 5000, cache_ttl_s=60)
    assert asked(side, 1, 2) == ([], {"1": why, "2": why})
    service.answer = answering([], [])
    side.requests._breaker.succeeded()
    assert asked(side, 1, 2) == ([{"user_id": 1, **NONE}, {"user_id": 2, **NONE}], {})


def test_a_service_that_is_down_is_left_alone_and_asked_again_later(service: Service, opened: Opened) -> None:
    service.answer = lambda users: 404
    side = opened(batch_size=1)
    for user in range(FAILURES):
        asked(side, user)
    (why,) = asked(side, 99)[1].values()
    assert why == f"no answer: not asked: it failed {FAILURES} times in a row, lately with status 404"
    assert len(service.requests) == FAILURES
    service.answer = answering([])
    clock = side.reader.runtime.clock
    assert isinstance(clock, ManualClock)
    clock.time += dt.timedelta(seconds=OPEN_S)
    assert asked(side, 99) == ([{"user_id": 99, **NONE}], {})


def test_a_secret_is_sent_and_without_one_or_without_a_service_nobody_is_asked(
    service: Service, opened: Opened, tmp_path: Any
) -> None:
    service.answer = answering([])
    asked(opened({"OLD_KEY": "Bearer x"}, secret_env="OLD_KEY"), 1)
    assert service.headers[0]["authorization"] == "Bearer x"
    with pytest.raises(
        SecretUnset, match="legacy of sequence 's' is called with the secret in OLD_KEY, which is not set"
    ):
        opened(secret_env="OLD_KEY")
    sequence = Sequence(name="s", tenant="shop", event_types=("buy",), columns=("price",), legacy=legacy(at=BLOBS))
    with pytest.raises(NoLegacySequence, match="is in files"):
        AskedSequences.open(Orders(tmp_path / "files").runtime(ORDERS, *TYPES, sequence), "s", {})
