"""The ring in storage, and what is done to it."""

import datetime as dt
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from seqplat_resources.home import Home
from seqplat_resources.records.log import RecordLog
from serving.access.keys import changes
from serving.access.keys.ring import Grant, KeyRevoked, Limits, UnknownKey, UnreadableKeyring
from serving.access.keys.secret import digest
from serving.access.keys.store import KEPT_RECORDS, KeyStore
from tests.building import ManualClock, utc

DAY = dt.timedelta(days=1)


@pytest.fixture
def store(any_home: Home) -> KeyStore:
    return KeyStore(any_home, ManualClock(utc(2026, 1, 1)))


def test_a_key_comes_back_as_it_was_made_without_its_secret(store: KeyStore) -> None:
    made, text = changes.create(
        store,
        "ads",
        by="ann",
        name="ranking",
        grants={"visits": Grant("ads", ("a",), ("age",))},
        limits=Limits(5, 10, 1000),
        expires_at=utc(2027, 1, 1),
    )
    number, ring = store.read()
    assert (number, ring.keys) == (1, {made.id: made})
    assert made.secrets[0].digest == digest(text)
    stored = RecordLog(store.home.objects, "keys").read(1).data
    assert text.rsplit("_", 1)[1].encode() not in stored
    [created] = made.history
    assert (created.by, created.at) == ("ann", utc(2026, 1, 1))
    assert created.what == "created as reader of all of ads; visits of ads (a, personal data age)"


def test_many_at_once_lose_no_key(store: KeyStore) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda n: changes.create(store, "ads", by=str(n))[0].id, range(8)))
    assert set(store.read()[1].keys) == set(made)


def test_a_rotated_key_has_the_old_secret_for_a_while(store: KeyStore) -> None:
    key, first = changes.create(store, "ads", by="ann")
    key, second = changes.rotate(store, key.id, by="bob", overlap=DAY)
    assert [(s.digest, s.until) for s in key.secrets] == [(digest(second), None), (digest(first), utc(2026, 1, 2))]
    key, third = changes.rotate(store, key.id, by="bob", overlap=DAY)
    assert [s.digest for s in key.secrets] == [digest(third), digest(second)]
    key, fourth = changes.rotate(store, key.id, by="bob", overlap=dt.timedelta())
    assert [s.digest for s in key.secrets] == [digest(fourth)]
    assert [change.what for change in key.history][1:] == [
        "rotated, the old secret accepted until 2026-01-02 00:00 UTC",
        "rotated, the old secret accepted until 2026-01-02 00:00 UTC",
        "rotated",
    ]


def test_revoking_is_final_and_leaves_nothing_to_match(store: KeyStore) -> None:
    key, _ = changes.create(store, "ads", by="ann")
    revoked = changes.revoke(store, key.id, by="bob")
    assert (revoked.secrets, revoked.revoked_at, revoked.state(utc(2026, 1, 1))) == ((), utc(2026, 1, 1), "revoked")
    for again in (
        lambda: changes.revoke(store, key.id, by="bob"),
        lambda: changes.rotate(store, key.id, by="bob", overlap=DAY),
        lambda: changes.grant(store, key.id, "visits", Grant("ads"), by="bob"),
    ):
        with pytest.raises(KeyRevoked, match="is final; make a new one"):
            again()


def test_a_grant_is_given_replaced_and_withdrawn_with_a_trace(store: KeyStore) -> None:
    key, _ = changes.create(store, "ads", by="ann")
    changes.grant(store, key.id, "orders", Grant("shop"), by="sue")
    key = changes.grant(store, key.id, "orders", Grant("shop", ("price",), ("email",)), by="sue")
    assert key.grants == {"orders": Grant("shop", ("price",), ("email",))}
    key = changes.withdraw(store, key.id, "orders", by="sue")
    assert key.grants == {}
    assert [(change.by, change.what) for change in key.history[1:]] == [
        ("sue", "granted orders of shop (all columns)"),
        ("sue", "granted orders of shop (price, personal data email)"),
        ("sue", "withdrew orders"),
    ]


def test_an_unknown_key_is_named_with_the_way_to_find_it(store: KeyStore) -> None:
    with pytest.raises(UnknownKey, match="no key 'nothing'; `seqplat keys list --all` shows"):
        changes.revoke(store, "nothing", by="ann")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "stored API keys cannot be read: Input data was truncated"),
        (b'{"format_version": 2}', "API keys of format 2; this build reads 1: upgrade it"),
        (b"[]", "API keys of format None; this build reads 1"),
    ],
)
def test_a_ring_that_cannot_be_read_says_where_it_is_and_stays(store: KeyStore, data: bytes, message: str) -> None:
    changes.create(store, "ads", by="ann")
    RecordLog(store.home.objects, "keys").append(data, after=1)
    with pytest.raises(UnreadableKeyring) as caught:
        changes.create(store, "ads", by="ann")
    assert str(caught.value).startswith(message)
    assert str(caught.value).endswith(f"(record 2 of {store.home.root}/keys)")
    assert store.number() == 2


def test_a_restriction_of_a_newer_build_is_not_overlooked(store: KeyStore) -> None:
    key, _ = changes.create(store, "ads", by="ann")
    log = RecordLog(store.home.objects, "keys")
    ring = json.loads(log.read(1).data)
    ring["keys"][key.id]["only_from_networks"] = ["10.0.0.0/8"]
    log.append(json.dumps(ring).encode(), after=1)
    with pytest.raises(UnreadableKeyring, match="only_from_networks"):
        store.read()


def test_old_records_are_forgotten(tmp_path: object) -> None:
    store = KeyStore(Home(f"{tmp_path}/home", {}))
    key, _ = changes.create(store, "ads", by="ann")
    for _ in range(KEPT_RECORDS + 5):
        changes.rotate(store, key.id, by="ann", overlap=DAY)
    assert len(RecordLog(store.home.objects, "keys").numbers()) == KEPT_RECORDS


def test_a_tool_that_prints_a_key_whenever_it_runs_leaves_one(store: KeyStore) -> None:
    first, second, third = (changes.issue_named(store, "ads", "demo", by="ann", overlap=DAY) for _ in range(3))
    changes.issue_named(store, "shop", "demo", by="ann", overlap=DAY)
    keys = [key for key in store.read()[1].keys.values() if key.tenant == "ads"]
    assert [[secret.digest for secret in key.secrets] for key in keys] == [[digest(third), digest(second)]]
    assert digest(first) not in [secret.digest for secret in keys[0].secrets]
    changes.revoke(store, keys[0].id, by="ann")
    changes.issue_named(store, "ads", "demo", by="ann", overlap=DAY)
    assert [key.state(store.clock.now()) for key in store.read()[1].keys.values()] == ["revoked", "active", "active"]
