"""Services over a real connection: what their answers become, and what their failures cost."""

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from seqplat_resources.enrichment import ServiceLookup, http
from seqplat_resources.enrichment.breaker import FAILURES, OPEN_S
from seqplat_resources.enrichment.requests import CONCURRENCY, SecretUnset
from sequence_defs.schema import Column, Tenant
from sequence_defs.schema import Service as Definition
from tests.building import ManualClock, runtime_for
from tests.enrichment.http_service import Service, serving

VALUE, NULL, PENDING, ERROR = range(4)
SECRET = "Bearer s3cr3t-of-the-shop"

Opened = Callable[..., ServiceLookup]


@pytest.fixture
def service() -> Iterator[Service]:
    with serving() as service:
        yield service


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def opened(service: Service, clock: ManualClock, tmp_path: Path) -> Iterator[Opened]:
    """``opened(**fields of the definition)`` gives a lookup for the service ``score``."""
    lookups = []

    def open_lookup(
        environment: dict[str, str] | None = None, *, patient: bool = False, max_rows: int = 1000, **fields: object
    ) -> ServiceLookup:
        found = {
            "url": service.url,
            "key": ("item",),
            "columns": (Column(name="score", dtype="float64"),),
            "deadline_ms": 5000,
            **fields,
        }
        definition = Definition(name="score", tenant="shop", **found)  # type: ignore[arg-type]
        home = tmp_path / f"home{len(lookups)}"
        runtime = runtime_for(home, (Tenant(name="shop", tenant="shop"), definition), clock=clock)
        lookups.append(ServiceLookup(runtime, environment or {}, patient=patient, max_rows=max_rows))
        return lookups[-1]

    yield open_lookup
    for lookup in lookups:
        lookup.close()


def items(*items: int | None) -> pl.DataFrame:
    return pl.DataFrame({"item": items}, schema={"item": pl.Int64()})


def fetched(lookup: ServiceLookup, *asked: int | None, column: str = "score") -> dict[int, tuple[object, int]]:
    """Item -> value and status."""
    found = lookup.fetch("score", items(*asked))
    assert found["item"].is_unique().all()
    return {item: (value, status) for item, value, status in found.select("item", column, "_status").rows()}


def test_each_key_is_asked_once(service: Service, opened: Opened) -> None:
    assert fetched(opened(), 4, None, 2, 4) == {4: (2.0, VALUE), 2: (1.0, VALUE)}
    assert service.requests == [[{"item": 4}, {"item": 2}]]


def test_no_keys_ask_nothing(service: Service, opened: Opened) -> None:
    lookup = opened()
    assert fetched(lookup) == fetched(lookup, None) == {}
    assert lookup.fetch("score", items()).schema == {"item": pl.Int64(), "score": pl.Float64(), "_status": pl.Int8()}
    assert service.requests == []


def test_keys_of_several_parts_carry_their_names(service: Service, opened: Opened) -> None:
    service.answer = lambda keys: [{"score": 1}] * len(keys)
    keys = pl.DataFrame({"day": [dt.date(2024, 5, 1), None], "shop": ["x", "y"]})
    found = opened(key=("day", "shop")).fetch("score", keys)
    assert found.rows() == [(dt.date(2024, 5, 1), "x", 1.0, VALUE)]
    assert service.requests == [[{"day": "2024-05-01", "shop": "x"}]]


def test_null_is_an_answer_and_a_wrong_value_is_an_error_of_its_key(service: Service, opened: Opened) -> None:
    said = [
        {"score": 0.5},
        None,
        {"score": "0.5"},
        {"score": [1]},
        {"score": None},
        {},
        7,
        [],
        {"score": 1, "more": {}},
    ]
    service.answer = lambda keys: said
    assert fetched(opened(), *range(9)) == {
        0: (0.5, VALUE),
        1: (None, NULL),
        2: (None, ERROR),
        3: (None, ERROR),
        4: (None, VALUE),
        5: (None, VALUE),
        6: (None, ERROR),
        7: (None, ERROR),
        8: (1.0, VALUE),
    }


@pytest.mark.parametrize(
    ("dtype", "good", "value", "bad"),
    [
        ("int64", "9007199254740993", 2**53 + 1, ["1.5", '"1"', "true", "9223372036854775808"]),
        ("int8", "-128", -128, ["128"]),
        ("bool", "true", True, ["1", '"true"']),
        ("string", '"a\\n\\u00e9"', "a\né", ["1", '{"a":1}']),
        ("date", '"2024-05-01"', dt.date(2024, 5, 1), ['"May"', "19000"]),
        ("timestamp", '"2024-05-01T12:00:00Z"', dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC), ["1714521600"]),
        ("list[int32]", "[1,null,2]", [1, None, 2], ['[1,"x"]', "1", "[2147483648]"]),
        ("vector[float32,2]", "[1, 0.5]", bytes.fromhex("0000803f0000003f"), ["[1]", "[1,null]", '["a","b"]']),
    ],
)
def test_values_have_their_declared_type_or_are_errors(
    service: Service, opened: Opened, dtype: str, good: str, value: object, bad: list[str]
) -> None:
    columns = (Column(name="score", dtype=dtype, model="m" if dtype.startswith("vector") else ""),)
    body = ",".join(f'{{"score":{text}}}' for text in [good, *bad])
    service.answer = lambda keys: f'{{"values":[{body}]}}'.encode()
    found = fetched(opened(columns=columns), *range(len(bad) + 1))
    assert found == {0: (value, VALUE)} | dict.fromkeys(range(1, len(bad) + 1), (None, ERROR))


def test_one_wrong_column_leaves_no_half_a_value(service: Service, opened: Opened) -> None:
    service.answer = lambda keys: [{"score": 1, "why": 2}]
    columns = (Column(name="score", dtype="float64"), Column(name="why", dtype="string"))
    assert opened(columns=columns).fetch("score", items(1)).rows() == [(1, None, None, ERROR)]


def test_a_column_that_may_not_be_null_is_missed(service: Service, opened: Opened) -> None:
    service.answer = lambda keys: [{}]
    assert fetched(opened(columns=(Column(name="score", dtype="float64", nullable=False),)), 1) == {1: (None, ERROR)}


@pytest.mark.parametrize(
    "answer",
    [b"", b"{", b"[]", b'{"values": 1}', b'{"values": []}', b'{"values": [null, null]}', b"\xff", b"[" * 100_000, 404,
     500, 302, b'{"values":' + b"[" * 100_000],
)  # fmt: skip
def test_an_answer_that_is_none_is_pending(service: Service, opened: Opened, answer: bytes | int) -> None:
    service.answer = lambda keys: answer
    lookup = opened(deadline_ms=500)
    assert fetched(lookup, 1) == {1: (None, PENDING)}
    assert lookup.take_counts()["score_requests_failed"] == 1


def test_a_huge_answer_is_not_read_to_its_end(
    service: Service, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MAX_ANSWER_BYTES", 1 << 20)
    service.answer = lambda keys: b" " * (8 << 20)
    lookup = opened()
    assert fetched(lookup, 1) == {1: (None, PENDING)}
    assert lookup._asked["score"].requests.last_failure == "an answer of more than 1048576 bytes"


def test_nobody_listening_is_pending(opened: Opened) -> None:
    lookup = opened(url="http://127.0.0.1:1/", deadline_ms=2000)
    assert fetched(lookup, 1, 2) == {1: (None, PENDING), 2: (None, PENDING)}
    assert lookup._asked["score"].requests.last_failure == "ConnectError"


# ---- requests ----------------------------------------------------------------------------------------------------


def test_keys_go_in_chunks_a_few_at_once(service: Service, opened: Opened) -> None:
    assert len(fetched(opened(batch_size=10), *range(95))) == 95
    assert sorted(len(keys) for keys in service.requests) == [5] + [10] * 9
    assert service.most_at_once <= CONCURRENCY


def test_a_failing_chunk_costs_its_own_keys_only(service: Service, opened: Opened) -> None:
    service.answer = lambda keys: 400 if {"item": 3} in keys else [{"score": 1}] * len(keys)
    found = fetched(opened(batch_size=2), *range(6))
    assert [status for _, status in found.values()] == [VALUE, VALUE, PENDING, PENDING, VALUE, VALUE]


def test_what_may_pass_is_tried_again_within_the_deadline(service: Service, opened: Opened) -> None:
    service.answer = lambda keys: 503 if len(service.requests) < 3 else [{"score": 1}]
    assert fetched(opened(), 1) == {1: (1.0, VALUE)}
    assert len(service.requests) == 3


@pytest.mark.parametrize("answer", [400, 401, 404, 302, b"{"])
def test_what_does_not_pass_is_not_tried_again(service: Service, opened: Opened, answer: int | bytes) -> None:
    service.answer = lambda keys: answer
    fetched(opened(), 1)
    assert len(service.requests) == 1


def test_a_service_that_hangs_costs_one_deadline_however_many_the_requests(service: Service, opened: Opened) -> None:
    service.answer = service.hang
    lookup = opened(deadline_ms=500, batch_size=1)
    found = fetched(lookup, *range(200))
    assert set(found.values()) == {(None, PENDING)}
    assert len(service.requests) <= CONCURRENCY  # none of the others was begun


def test_an_answer_that_trickles_in_costs_one_deadline(service: Service, opened: Opened) -> None:
    """Each byte comes in time, so that no socket ever times out."""
    service.answer = service.trickle
    lookup = opened(deadline_ms=150)
    assert fetched(lookup, 1) == {1: (None, PENDING)}  # it comes to no end by itself
    until = time.monotonic() + 60
    while not lookup._asked["score"].requests.last_failure and time.monotonic() < until:
        time.sleep(0.01)  # whoever asked does not wait for the thread to find out
    assert lookup._asked["score"].requests.last_failure == "the answer took too long"


def test_a_patient_caller_gives_every_request_its_own_deadline(service: Service, opened: Opened) -> None:
    """Twelve requests of 800 ms, four at once, do not fit into 2 s; each of them does."""

    def slow(keys: list[dict[str, int]]) -> list[object]:
        service.over.wait(0.8)
        return [{"score": 1}] * len(keys)

    service.answer = slow
    hurried = fetched(opened(deadline_ms=2000, batch_size=1), *range(12))
    patient = fetched(opened(deadline_ms=2000, batch_size=1, patient=True), *range(12))
    assert {status for _, status in hurried.values()} == {VALUE, PENDING}
    assert {status for _, status in patient.values()} == {VALUE}


# ---- cache -------------------------------------------------------------------------------------------------------


def test_answers_are_remembered_for_their_time(service: Service, opened: Opened, clock: ManualClock) -> None:
    service.answer = lambda keys: [{1: {"score": 1}, 2: None, 3: {"score": "x"}}[key["item"]] for key in keys]
    lookup = opened(cache_ttl_s=60)
    first = fetched(lookup, 1, 2, 3)
    clock.time += dt.timedelta(seconds=59)
    assert fetched(lookup, 3, 2, 1, 1) == first == {1: (1.0, VALUE), 2: (None, NULL), 3: (None, ERROR)}
    counts = lookup.take_counts()
    assert (counts["score_keys_asked"], counts["score_keys_cached"]) == (3, 3)
    assert not lookup.take_counts().total()
    assert len(service.requests) == 1
    clock.time += dt.timedelta(seconds=1)
    fetched(lookup, 2)
    assert service.requests[1:] == [[{"item": 2}]]


def test_only_keys_that_are_not_remembered_are_asked(service: Service, opened: Opened) -> None:
    lookup = opened()
    fetched(lookup, 1, 2)
    assert fetched(lookup, 2, 3) == {2: (1.0, VALUE), 3: (1.5, VALUE)}
    assert service.requests[1:] == [[{"item": 3}]]


def test_a_time_of_zero_remembers_nothing(service: Service, opened: Opened) -> None:
    lookup = opened(cache_ttl_s=0)
    assert fetched(lookup, 1) == fetched(lookup, 1)
    assert len(service.requests) == 2


def test_pending_is_never_remembered(service: Service, opened: Opened) -> None:
    answer, service.answer = service.answer, lambda keys: 400
    lookup = opened()
    assert fetched(lookup, 1) == {1: (None, PENDING)}
    service.answer = answer
    assert fetched(lookup, 1) == {1: (0.5, VALUE)}
    assert lookup.take_counts()["score_keys_pending"] == 1


def test_what_is_remembered_is_bounded(service: Service, opened: Opened) -> None:
    lookup = opened(max_rows=10)
    for start in range(0, 100, 5):
        fetched(lookup, *range(start, start + 5))
    assert lookup._asked["score"].cache.rows <= 10


# ---- breaker -----------------------------------------------------------------------------------------------------


def test_the_breaker_opens_asks_once_in_a_while_and_closes(
    service: Service, opened: Opened, clock: ManualClock
) -> None:
    answer, service.answer = service.answer, lambda keys: 400
    lookup = opened(cache_ttl_s=0)
    for _ in range(FAILURES + 3):
        assert fetched(lookup, 1) == {1: (None, PENDING)}
    assert len(service.requests) == FAILURES
    assert lookup.take_counts()["score_requests_refused"] == 3

    clock.time += dt.timedelta(seconds=OPEN_S)
    for _ in range(3):
        fetched(lookup, 1)
    assert len(service.requests) == FAILURES + 1, "one probe, and it failed"

    service.answer = answer
    clock.time += dt.timedelta(seconds=OPEN_S)
    for _ in range(3):
        assert fetched(lookup, 1) == {1: (0.5, VALUE)}
    assert len(service.requests) == FAILURES + 4


def test_failures_that_are_not_in_a_row_do_not_open_it(service: Service, opened: Opened) -> None:
    service.answer = lambda keys: 400 if len(service.requests) % FAILURES else [{"score": 1}]
    lookup = opened(cache_ttl_s=0)
    for _ in range(3 * FAILURES):
        fetched(lookup, 1)
    assert len(service.requests) == 3 * FAILURES


def test_an_open_breaker_spares_the_rest_of_a_large_build(service: Service, opened: Opened) -> None:
    service.answer = lambda keys: 400
    found = fetched(opened(patient=True, batch_size=1), *range(200))
    assert set(found.values()) == {(None, PENDING)}
    assert len(service.requests) < FAILURES + CONCURRENCY


# ---- secrets -----------------------------------------------------------------------------------------------------


def test_the_secret_is_sent_and_shown_nowhere(
    service: Service, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    lookup = opened({"SCORE_TOKEN": SECRET}, secret_env="SCORE_TOKEN", secret_header="X-Score-Auth")
    fetched(lookup, 1)
    service.answer = lambda keys: 401
    fetched(lookup, 2)
    assert [headers["X-Score-Auth"] for headers in service.headers] == [SECRET, SECRET]
    shown = [caplog.text, repr(lookup), repr(vars(lookup)["_asked"])]
    release = lookup._runtime.release.model_dump_json()
    assert not [text for text in (*shown, release) if "s3cr3t" in text]
    assert "SCORE_TOKEN" in release


@pytest.mark.parametrize("secret", ["", "s3cr3t\r\nX-Evil: 1", "s3cr3té"])
def test_a_secret_that_cannot_be_sent_is_refused_without_telling_it(opened: Opened, secret: str) -> None:
    lookup = opened({"SCORE_TOKEN": secret}, secret_env="SCORE_TOKEN")
    with pytest.raises(SecretUnset, match=r"enrichment 'score' is called with the secret in SCORE_TOKEN") as raised:
        fetched(lookup, 1)
    assert "s3cr3t" not in str(raised.value)


def test_without_a_secret_no_header_is_sent(service: Service, opened: Opened) -> None:
    fetched(opened({"AUTHORIZATION": SECRET}), 1)
    assert "authorization" not in {name.lower() for name in service.headers[0]}


def test_a_proxy_of_the_process_is_not_used(service: Service, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert fetched(opened(), 4) == {4: (2.0, VALUE)}
