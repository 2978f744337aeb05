"""Requests per second and events per day."""

import multiprocessing
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqplat_resources.times import DAY_S
from serving.access.keys.ring import Limits
from serving.access.quota import Quota, QuotaUsed
from serving.access.usage import Usage, UsageUnwritable
from tests.budget import examples
from tests.disk import fill, small_disk
from tests.serving.conftest import Start
from tests.serving.keys import new_headers

NOON_S = 20_000.5 * DAY_S
PATH = "/v1/sequences/household_history/users/1146"


@pytest.fixture
def usage(tmp_path: Path) -> Iterator[Usage]:
    usage = Usage(tmp_path / "usage" / "keys")
    yield usage
    usage.close()


def _admitted(quota: Quota, times: list[float]) -> list[bool]:
    found = []
    for now_s in times:
        try:
            quota.admit(now_s)
        except QuotaUsed:
            found.append(False)
        else:
            found.append(True)
    return found


def test_a_burst_and_then_the_rate(usage: Usage) -> None:
    quota = Quota(Limits(requests_per_s=10, burst=3), usage.row("k"))
    assert _admitted(quota, [NOON_S] * 5) == [True, True, True, False, False]
    assert _admitted(quota, [NOON_S + 0.1] * 2) == [True, False]
    assert _admitted(quota, [NOON_S + 10] * 4) == [True, True, True, False]


@given(
    rate=st.floats(0.1, 1000),
    burst=st.integers(1, 50),
    gaps=st.lists(st.sampled_from([0.0, 0.001, 0.03, 0.4, 1.7]), min_size=1, max_size=60),
)
@settings(max_examples=examples(30))
def test_it_is_a_token_bucket(rate: float, burst: int, gaps: list[float]) -> None:
    """Against the plain one: so many tokens at most, one spent by each request, ``rate`` of them coming each second."""
    with tempfile.TemporaryDirectory() as folder:
        usage = Usage(Path(folder) / "keys")
        quota, tokens, now_s = Quota(Limits(rate, burst), usage.row("k")), float(burst), NOON_S
        for gap in gaps:
            now_s, tokens = now_s + gap, min(float(burst), tokens + gap * rate)
            if abs(tokens - 1) < 1e-3:
                break  # between a token and none, rounding decides
            assert _admitted(quota, [now_s]) == [tokens >= 1]
            tokens -= tokens >= 1
        usage.close()


@pytest.mark.parametrize("rate", [0.5, 3, 7, 1000])
def test_in_the_long_run_it_is_the_rate_whatever_is_asked(usage: Usage, rate: float) -> None:
    quota = Quota(Limits(requests_per_s=rate), usage.row("k"))
    times = [NOON_S + n / (rate * 3) for n in range(3000)]
    burst, seconds = max(1, rate), times[-1] - NOON_S
    assert sum(_admitted(quota, times)) == pytest.approx(burst + rate * seconds, abs=1.5)


def test_who_keeps_to_the_rate_is_never_refused(usage: Usage) -> None:
    quota = Quota(Limits(requests_per_s=7, burst=1), usage.row("k"))
    assert all(_admitted(quota, [NOON_S + n / 7 for n in range(10_000)]))


def test_a_refusal_says_when_to_come_back_and_what_is_left(usage: Usage) -> None:
    quota = Quota(Limits(requests_per_s=0.25, burst=2), usage.row("k"))
    assert quota.headers(NOON_S) == {
        "RateLimit-Policy": '"requests";q=2;w=8',
        "RateLimit": '"requests";r=2;t=0',
    }
    assert _admitted(quota, [NOON_S, NOON_S]) == [True, True]
    with pytest.raises(QuotaUsed) as caught:
        quota.admit(NOON_S + 1.5)
    assert caught.value.headers == {
        "Retry-After": "3",
        "RateLimit-Policy": '"requests";q=2;w=8',
        "RateLimit": '"requests";r=0;t=7',
    }
    assert caught.value.problem.status == 429
    assert str(caught.value) == (
        "more than 0.25 requests per second; send them more evenly, ask for several users at once, or have the key's "
        "quota raised"
    )
    assert _admitted(quota, [NOON_S + 1.5 + 3]) == [True]


def test_events_of_a_day_are_used_up_until_midnight_utc(usage: Usage) -> None:
    quota = Quota(Limits(events_per_day=100), usage.row("k"))
    assert _admitted(quota, [NOON_S]) == [True]
    quota.charge(99, NOON_S)
    assert quota.headers(NOON_S)["RateLimit"] == f'"events";r=1;t={DAY_S // 2}'
    assert _admitted(quota, [NOON_S]) == [True]
    quota.charge(500, NOON_S)  # the answer that crosses the line is still given
    with pytest.raises(QuotaUsed, match="the 100 events of this day are used up; wait until midnight UTC") as caught:
        quota.admit(NOON_S + 1)
    assert caught.value.headers["Retry-After"] == str(DAY_S // 2 - 1)
    assert caught.value.headers["RateLimit"] == f'"events";r=0;t={DAY_S // 2 - 1}'
    midnight_s = NOON_S + DAY_S / 2
    assert _admitted(quota, [midnight_s - 0.001, midnight_s]) == [False, True]
    assert quota.headers(midnight_s)["RateLimit"] == f'"events";r=100;t={DAY_S}'


def test_without_a_limit_there_is_none_but_use_is_counted(usage: Usage) -> None:
    row = usage.row("k")
    quota = Quota(Limits(), row)
    assert not quota.is_limited
    assert all(_admitted(quota, [NOON_S] * 1000))
    assert (row.requests, row.last_used_s, quota.headers(NOON_S)) == (1000, NOON_S, {})


def test_a_clock_that_was_set_back_locks_nobody_out(usage: Usage) -> None:
    quota = Quota(Limits(requests_per_s=1, burst=2), usage.row("k"))
    assert _admitted(quota, [NOON_S + DAY_S, NOON_S, NOON_S + 1, NOON_S + 2]) == [True, False, True, True]


def test_hosts_divide_a_quota_and_never_to_nothing(usage: Usage) -> None:
    quotas = [Quota(Limits(9, 6, 300), usage.row(f"host {n}"), hosts=3) for n in range(3)]
    assert [sum(_admitted(quota, [NOON_S] * 10)) for quota in quotas] == [2, 2, 2]
    assert quotas[0].headers(NOON_S + 60)["RateLimit"].startswith('"requests";r=2;t=0, "events";r=100;')
    assert sum(_admitted(Quota(Limits(2), usage.row("k"), hosts=10), [NOON_S] * 10)) == 1


def test_two_processes_count_together(usage: Usage) -> None:
    quota = Quota(Limits(requests_per_s=1, burst=100, events_per_day=1000), usage.row("shared"))
    assert sum(_admitted(quota, [NOON_S] * 60)) == 60
    quota.charge(400, NOON_S)
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        assert pool.apply(_in_another_process, (usage.path,)) == (40, 600)
    assert _admitted(quota, [NOON_S]) == [False]
    assert usage.row("shared").events(20_000) == 1000
    assert usage.row("shared").requests == 100


def _in_another_process(path: Path) -> tuple[int, int]:
    row = Usage(path).row("shared")
    quota = Quota(Limits(requests_per_s=1, burst=100, events_per_day=1000), row)
    left = 1000 - row.events(20_000)
    admitted = sum(_admitted(quota, [NOON_S] * 60))
    quota.charge(left, NOON_S)
    return admitted, left


def test_a_file_grows_while_others_have_it_open(usage: Usage) -> None:
    other = Usage(usage.path)
    first = usage.row("first")
    first.used(1.0)
    for n in range(600):
        (usage if n % 2 else other).row(f"key {n}").used(float(n))
    first.used(2.0)
    rows = Usage.read(usage.path)
    assert len(rows) == 601
    assert {name: row.last_used_s for name, row in rows.items()} == {
        "first": 2.0,
        **{f"key {n}": float(n) for n in range(600)},
    }
    assert rows["first"].requests == 2
    other.close()


def test_many_keys_are_one_mapping(usage: Usage) -> None:
    rows = usage.rows([f"key {n}" for n in range(10_000)])
    assert len(rows) == 10_000
    for n, row in enumerate(rows.values()):
        row.used(float(n))
    other = Usage.read(usage.path)
    assert [other[f"key {n}"].last_used_s for n in (0, 5000, 9999)] == [0.0, 5000.0, 9999.0]
    maps = Path("/proc/self/maps").read_text().count(str(usage.path))
    assert maps <= 2


def test_use_survives_a_restart(usage: Usage) -> None:
    quota = Quota(Limits(events_per_day=10), usage.row("k"))
    quota.charge(10, NOON_S)
    again = Usage(usage.path)
    assert _admitted(Quota(Limits(events_per_day=10), again.row("k")), [NOON_S]) == [False]
    again.close()


def test_a_file_that_is_begun_on_a_full_disk_counts_in_memory_until_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1 << 20) as disk:
        taken = fill(disk)
        usage = Usage(disk / "keys")
        usage.row("k").used(NOON_S)
        again = Usage(disk / "keys")
        assert again.row("k").requests == 0
        taken.unlink()
        again.row("k").used(NOON_S)
        assert Usage.read(disk / "keys")["k"].requests == 1
        usage.close()
        again.close()


@pytest.mark.parametrize("size", [0, 16, 64, 4096])
def test_a_file_that_a_kill_left_without_its_first_bytes_is_gone_on_with(tmp_path: Path, size: int) -> None:
    (tmp_path / "keys").write_bytes(bytes(size))
    usage = Usage(tmp_path / "keys")
    usage.row("k").used(NOON_S)
    assert Usage.read(usage.path)["k"].requests == 1
    assert usage.path.read_bytes().startswith(b"seqplat usage")
    usage.close()


def test_looking_makes_no_file(tmp_path: Path) -> None:
    assert Usage.read(tmp_path / "nothing") == {}
    assert not (tmp_path / "nothing").exists()


def test_a_place_where_nothing_can_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageUnwritable, match=r"file/keys \(File exists\); name another file in SEQPLAT_API_U"):
        Usage(tmp_path / "file" / "keys")
    (tmp_path / "other").write_bytes(b"something else entirely")
    with pytest.raises(UsageUnwritable, match="is no usage file of this build; delete it"):
        Usage(tmp_path / "other")


def test_over_http_too_many_requests_are_429_and_cost_nobody_else(home: Path, start: Start) -> None:
    limited = new_headers(home, limits=Limits(requests_per_s=0.01, burst=2))
    client = start(home)
    first, second, third = (client.get(f"{PATH}?limit=1", headers=limited) for _ in range(3))
    assert [first.status_code, second.status_code, third.status_code] == [200, 200, 429]
    assert first.headers["ratelimit-policy"] == '"requests";q=2;w=200'
    assert [a.headers["ratelimit"] for a in (first, second, third)] == [
        '"requests";r=1;t=100',
        '"requests";r=0;t=200',
        '"requests";r=0;t=200',
    ]
    assert third.headers["content-type"] == "application/problem+json"
    assert 90 <= int(third.headers["retry-after"]) <= 100
    assert third.json() == {
        "type": "urn:seqplat:problem:quota-used",
        "title": "Quota used",
        "status": 429,
        "detail": "more than 0.01 requests per second",
        "instance": PATH,
        "fix": "send them more evenly, ask for several users at once, or have the key's quota raised",
    }
    assert "ratelimit" not in client.get(PATH).headers
    assert client.get(PATH).status_code == 200


def test_over_http_events_are_counted_by_answers(home: Path, start: Start) -> None:
    limited = new_headers(home, limits=Limits(events_per_day=6))
    client = start(home)
    answers = [client.get(f"{PATH}?limit=4", headers=limited) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["ratelimit"].startswith('"events";r=2;')  # what it has itself is counted
    assert answers[1].headers["ratelimit"].startswith('"events";r=0;')
    assert answers[2].json()["detail"] == "the 6 events of this day are used up"
    assert client.get("/v1/sequences/household_history/schema", headers=limited).status_code == 429


def test_a_quota_that_is_changed_keeps_what_was_used(usage: Usage) -> None:
    row = usage.row("k")
    Quota(Limits(events_per_day=10), row).charge(50, NOON_S)
    assert _admitted(Quota(Limits(events_per_day=51), row), [NOON_S]) == [True]
    assert _admitted(Quota(Limits(events_per_day=50), row), [NOON_S]) == [False]
