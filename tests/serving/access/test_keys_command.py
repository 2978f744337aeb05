"""``seqplat keys``, as an administrator types it."""

import datetime as dt
import math
import re
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from seqplat_resources.home import Home
from serving.access.audit.log import user_hash
from serving.access.grants import CannotGrant
from serving.access.keys.ring import Grant, Key, KeyRevoked, Limits, UnknownKey
from serving.access.keys.secret import digest
from serving.access.keys.store import KeyStore
from serving.cli.access.keys import keys
from serving.cli.person import person
from tests.serving.access.conftest import OTHER, OTHERS, OWN, PERSONAL
from tests.serving.conftest import Start
from tests.serving.keys import headers

Run = Callable[..., Result]
TEXT = re.compile(r"sp_[a-z0-9]{10}_[A-Za-z0-9]{43}")
PATH = f"/v1/sequences/{OWN}/users/1146"


@pytest.fixture
def run(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("SEQPLAT_HOME", str(shared))
    monkeypatch.delenv("SEQPLAT_CHANNEL", raising=False)
    return lambda *arguments: CliRunner().invoke(keys, arguments, catch_exceptions=False)


def _keys(home: Path) -> dict[str, Key]:
    return dict(KeyStore(Home(str(home), {})).read()[1].keys)


def test_a_key_is_printed_once_and_kept_as_a_digest(run: Run, shared: Path) -> None:
    output = run("create", "grocery", "--name", "ranking").output
    [text] = TEXT.findall(output)
    [key] = _keys(shared).values()
    assert key.secrets[0].digest == digest(text)
    assert (key.tenant, key.name, key.roles, key.reads_own, key.grants) == ("grocery", "ranking", ("reader",), True, {})
    assert key.history[0].by == person()
    assert f"created key {key.id} of tenant grocery" in output
    assert "This is the only time it is shown" in output
    assert f"next: seqplat keys show {key.id}" in output
    secret = text.rsplit("_", 1)[1]
    assert secret not in run("list").output + run("show", key.id).output
    for file in shared.rglob("*"):
        assert not file.is_file() or secret.encode() not in file.read_bytes()


def test_quiet_prints_the_key_and_nothing_else(run: Run) -> None:
    assert TEXT.fullmatch(run("create", "grocery", "--quiet").output.rstrip("\n"))


def test_everything_that_can_be_said_of_a_key(run: Run, shared: Path) -> None:
    before = dt.datetime.now(dt.UTC)
    made = run(
        "create", "grocery", "--sequence", OWN, "--columns", f"{OWN}:brand,quantity", "--pii", PERSONAL,
        "--requests-per-s", "50", "--burst", "100", "--events-per-day", "1000000", "--expires", "90d",
        "--role", "reader", "--role", "operator",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    [key] = _keys(shared).values()
    assert key.grants == {OWN: Grant("grocery", ("brand", "quantity"), (PERSONAL,))}
    assert (key.reads_own, key.roles) == (False, ("reader", "operator"))
    assert key.limits == Limits(50, 100, 1_000_000)
    assert key.expires_at
    assert dt.timedelta(days=90) <= key.expires_at - before < dt.timedelta(days=90, minutes=5)
    shown = run("show", key.id).output
    assert re.search(r"quota +50 requests/s, burst 100, 1,000,000 events/day", shown)
    assert re.search(rf"{OWN} +grocery +brand, quantity +{PERSONAL}", shown)


def test_a_day_may_be_named(run: Run, shared: Path) -> None:
    run("create", "grocery", "--expires", "2031-05-01")
    assert next(iter(_keys(shared).values())).expires_at == dt.datetime(2031, 5, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--expires", "soon"), "'soon' is neither a span like 90d nor a day like 2027-01-31"),
        (("--columns", OWN), f"'{OWN}' names no columns; write SEQUENCE:A,B"),
        (("--expires", "2020-01-01"), "'2020-01-01' has begun (UTC); write 90d or a day to come"),
        (("--expires", "0d"), "'0d' would be over at once; write 90d or a day to come"),
        (("--expires", "9999999d"), "'9999999d' is more than 100 years; write 30m, 24h or 90d"),
        (("--expires", "9" * 5000 + "w"), f"'{'9' * 40}...' is more than 100 years"),
        (("--requests-per-s", "0"), "0.0 is not in the range 0.0001<=x<=1000000"),
        (("--requests-per-s", "-1"), "-1.0 is not in the range"),
        (("--requests-per-s", "inf"), "inf is not in the range"),
        (("--requests-per-s", "nan"), "nan is no number of requests"),
        (("--events-per-day", "0"), "0 is not in the range 1<=x<="),
        (("--burst", "5"), "give --requests-per-s too"),
        (("--name", "one\ntwo"), "write one line of up to 100 printable characters"),
        (("--name", "\x1b[31m"), "write one line of up to 100 printable characters"),
        (("--name", "x" * 101), "write one line of up to 100 printable characters"),
        (("--role", "admin"), "'admin' is not one of 'reader', 'operator'"),
    ],
)
def test_what_cannot_be_is_refused(run: Run, shared: Path, arguments: tuple[str, ...], message: str) -> None:
    refused = run("create", "grocery", *arguments)
    assert refused.exit_code == 2
    assert message in _unboxed(refused.output)
    assert _keys(shared) == {}


def _unboxed(output: str) -> str:
    """Without the breaks of lines."""
    return re.sub(r"\s+", " ", output)


def test_no_overlap_is_longer_than_a_calendar(run: Run) -> None:
    assert "is more than 100 years" in run("rotate", "nothing", "--overlap", "999999w").output


@pytest.mark.parametrize("limits", [{"requests_per_s": math.nan}, {"requests_per_s": math.inf}, {"burst": 0}])
def test_no_quota_is_anything_but_a_number_above_0(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(limits))} is .*, which is no quota"):
        Limits(**limits)  # type: ignore[arg-type]


def test_a_wrong_name_is_refused_before_anything_is_made(run: Run, shared: Path) -> None:
    with pytest.raises(CannotGrant, match="did you mean 'grocery'"):
        run("create", "grocer")
    with pytest.raises(CannotGrant, match=f"sequence '{OTHERS}' belongs to tenant '{OTHER}'"):
        run("create", "grocery", "--sequence", OTHERS)
    assert _keys(shared) == {}


def test_the_list_shows_what_lives_and_all_shows_the_rest(run: Run, shared: Path) -> None:
    assert "no key\n\nnext: seqplat keys create grocery" in run("list").output
    for name in ("one", "two"):
        run("create", "grocery", "--name", name)
    one, two = _keys(shared)
    run("revoke", one)
    listed = run("list").output
    assert two in listed
    assert one not in listed
    assert re.search(rf"{one} .* revoked", run("list", "--all").output)
    run("revoke", two)
    assert "no key is active; 2 expired or revoked: seqplat keys list --all" in run("list").output


def test_rotate_prints_another_secret_and_says_how_long_the_old_one_works(run: Run, shared: Path) -> None:
    first = run("create", "grocery", "--quiet").output.strip()
    [key_id] = _keys(shared)
    output = run("rotate", key_id, "--overlap", "2h").output
    [second] = TEXT.findall(output)
    assert second != first
    assert re.search(rf"rotated key {key_id}; the old secret works until \d{{4}}-\d\d-\d\d \d\d:\d\d UTC", output)
    assert re.search(rf"{key_id} .* rotating", run("list").output)
    assert "the old secret works no more" in run("rotate", key_id, "--overlap", "0s").output


def test_grant_and_withdraw(run: Run, shared: Path) -> None:
    run("create", "grocery")
    [key_id] = _keys(shared)
    assert (
        f"granted {OTHERS} of tenant {OTHER} to key {key_id} of grocery"
        in run("grant", key_id, OTHERS, "--columns", "amount").output
    )
    assert _keys(shared)[key_id].grants == {OTHERS: Grant(OTHER, ("amount",))}
    assert f"all own, {OTHERS} of {OTHER} in part" in run("list").output
    assert f"granted {OTHERS} of {OTHER} (amount)" in run("show", key_id).output
    assert f"withdrew {OTHERS} from key {key_id} of grocery" in run("withdraw", key_id, OTHERS).output
    with pytest.raises(CannotGrant, match=f"key {key_id} has no grant of '{OTHERS}'; it has none"):
        run("withdraw", key_id, OTHERS)


def test_an_owner_sees_who_may_read_a_sequence(run: Run, shared: Path) -> None:
    for arguments in (("grocery",), (OTHER,), (OTHER, "--role", "operator")):
        run("create", *arguments)
    own, others, operator = _keys(shared)
    listed = run("list", "--reading", OTHERS).output
    assert [key_id in listed for key_id in (own, others, operator)] == [False, True, False]
    run("grant", own, OTHERS)
    assert own in run("list", "--reading", OTHERS).output
    for key_id in (own, others):
        run("revoke", key_id)
    assert f"no key may read {OTHERS} of tenant {OTHER}" in run("list", "--reading", OTHERS).output
    with pytest.raises(CannotGrant, match=f"no sequence 'zebra' in the release; did you mean '{OTHERS}'"):
        run("list", "--reading", "zebra")


def test_keys_that_are_not_there_or_no_more(run: Run, shared: Path) -> None:
    for command in (("revoke",), ("rotate",), ("show",)):
        with pytest.raises(UnknownKey):
            run(*command, "nothing")
    run("create", "grocery")
    [key_id] = _keys(shared)
    run("revoke", key_id)
    with pytest.raises(KeyRevoked):
        run("rotate", key_id)


def test_the_list_shows_when_a_key_was_last_used(run: Run, shared: Path, start: Start) -> None:
    text = run("create", "grocery", "--quiet", "--events-per-day", "1000").output.strip()
    key_id = text.split("_")[1]
    assert re.search(rf"{key_id} .* never +- +active", run("list").output)
    client = start(shared)
    until = time.monotonic() + 20
    while client.get(f"{PATH}?limit=4", headers=headers(text)).status_code != 200:
        assert time.monotonic() < until
    assert re.search(rf"{key_id} .* \d+ s ago +active", run("list").output)
    shown = run("show", key_id).output
    assert re.search(r"requests on this host +1, and 0 over quota", shown)
    assert re.search(r"events today +4", shown)


def test_a_user_is_found_in_the_access_log(run: Run, shared: Path) -> None:
    run("create", "grocery")
    log_key = KeyStore(Home(str(shared), {})).read()[1].log_key
    assert run("user-hash", "378").output == user_hash(log_key, "378") + "\n"


def test_no_command_takes_a_secret_where_others_see_it() -> None:
    """Arguments are in ``ps`` and in the history of a shell."""
    taken = {parameter.name for command in keys.commands.values() for parameter in command.params}
    assert not taken & {"secret", "key", "token", "text", "password"}
    assert all(isinstance(command, click.Command) and command.help for command in keys.commands.values())
