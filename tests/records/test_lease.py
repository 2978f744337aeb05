"""Who holds a lease: other users, containers that share a host name, pids that came again, damaged records."""

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from seqplat_resources.home import Home
from seqplat_resources.records import heartbeat
from seqplat_resources.records.lease import TTL, Lease, LeaseHeld, hold, is_live
from seqplat_resources.records.process import is_gone, this_process
from tests.building import ManualClock, eventually
from tests.lake.numbers_table import REPOSITORY

_SAY = (
    "import json, sys; from seqplat_resources.records.process import this_process;"
    "print(json.dumps(this_process()), flush=True); sys.stdin.read()"
)
NOBODY = 65534
as_root = pytest.mark.skipif(os.getuid() != 0, reason="other users and namespaces need root")


@contextmanager
def process(*before: str) -> Iterator[dict[str, Any]]:
    """What another process, which lives as long as the block, says of itself."""
    command = [*before, sys.executable, "-c", _SAY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as child:
        assert child.stdout is not None
        yield json.loads(child.stdout.readline())


def seen_by(record: dict[str, Any], *before: str) -> bool:
    """Whether another process takes the one of the record for gone."""
    ask = (
        "import json, sys; from seqplat_resources.records.process import is_gone;"
        "print(is_gone(json.loads(sys.argv[1])))"
    )
    command = [*before, sys.executable, "-c", ask, json.dumps(record)]
    found = subprocess.run(command, check=True, capture_output=True, text=True, cwd=REPOSITORY)
    return found.stdout.strip() == "True"


def test_a_process_is_gone_when_it_ended_or_its_pid_came_again() -> None:
    with process() as other:
        assert not is_gone(other)
    assert is_gone(other)
    assert not is_gone(this_process())
    assert is_gone({**this_process(), "started": "1"})


@pytest.mark.parametrize("changed", [{"host": "b"}, {"boot": "b"}, {"pids": "b"}, {"pid": "7"}, {"pid": -1}])
def test_of_a_process_elsewhere_nothing_is_known(changed: dict[str, object]) -> None:
    with process() as other:
        pass
    assert not is_gone({**other, **changed})
    assert not is_gone({key: value for key, value in other.items() if key not in changed})


@as_root
@pytest.mark.parametrize("proc", ["seen", "hidden"])
def test_the_process_of_another_user_lives_also_where_proc_hides_it(proc: str) -> None:
    """What may not be signalled is there."""
    blind = "lambda path, *a, **k: real(path + ('x' if path.endswith('/stat') else ''), *a, **k)"
    ask = (
        "import builtins, json, os, sys; import seqplat_resources.records.process as holder; real = open\n"
        f"if sys.argv[2] == 'hidden': builtins.open = {blind}\n"
        f"os.setuid({NOBODY}); print(holder.is_gone(json.loads(sys.argv[1])))"
    )
    command = [sys.executable, "-c", ask, json.dumps(this_process()), proc]
    found = subprocess.run(command, check=True, capture_output=True, text=True, cwd=REPOSITORY)
    assert found.stdout.strip() == "False"


@as_root
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
def test_containers_that_share_a_host_name_do_not_know_each_other(tmp_path: Path) -> None:
    container = ("unshare", "--pid", "--fork", "--mount-proc")
    with process(*container) as inside:
        assert inside["host"] == this_process()["host"]
        assert not is_gone(inside)
        assert not seen_by(dict(this_process()), *container)
        assert not seen_by(inside, *container)


def test_a_lease_without_a_known_end_of_its_process_holds_until_it_ends(tmp_path: Path) -> None:
    home = Home(str(tmp_path), {})
    lease = Lease.acquire(home, "t/day")
    record = next((tmp_path / "leases/t/day").glob("*.json"))
    written = json.loads(record.read_bytes())
    record.write_text(json.dumps({**written, "pids": "another"}))
    with pytest.raises(LeaseHeld, match=f"process {os.getpid()} on"):
        Lease.acquire(home, "t/day")
    record.write_text(json.dumps({**written, "started": "1"}))
    assert Lease.acquire(home, "t/day").token == lease.token + 1


def test_a_lease_is_renewed_while_its_holder_works_and_lost_when_it_is_paused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """Of a process in another container nothing is seen but that."""
    monkeypatch.setattr("seqplat_resources.records.lease.EVERY_S", 0.02)
    home, clock, others = Home(str(tmp_path), {}), ManualClock(), set(heartbeat._beats)
    with hold(home, "t/day", clock=clock) as lease, hold(home, "t/other", clock=clock) as other:
        for _ in range(3):
            clock.time += TTL - dt.timedelta(seconds=1)
            eventually(lambda: lease.until > clock.time and other.until > clock.time)
            assert is_live(home, "t/day", clock=clock)
        assert lease.token == 1
        later = ManualClock(clock.time + 2 * TTL)  # somebody else's clock, after a pause
        assert Lease.acquire(home, "t/day", clock=later).token == lease._number + 1
        eventually(lambda: "the lease of t/day ended" in caplog.text)
        clock.time += TTL - dt.timedelta(seconds=1)
        eventually(lambda: other.until > clock.time)
        assert lease.until < clock.time
    assert not is_live(home, "t/other", clock=clock)
    assert is_live(home, "t/day", clock=later), "what was lost is not given back"
    eventually(lambda: heartbeat._beats <= others)
    assert caplog.text.count("was taken over; start again") == 1


def test_a_lease_that_is_given_back_while_it_is_renewed_stays_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqplat_resources.records.lease.EVERY_S", 0.0)
    home = Home(str(tmp_path), {})
    for _ in range(40):
        with hold(home, "t/day"):
            pass
        assert not is_live(home, "t/day")


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b"\xff\xfe", b"{}", b'{"until": "soon"}', b'{"until": "2024-05-01T00:00:00"}']
)
def test_a_damaged_lease_is_taken_over_and_named(tmp_path: Path, damage: bytes, caplog: Any) -> None:
    home = Home(str(tmp_path), {})
    Lease.acquire(home, "t/day")
    record = next((tmp_path / "leases/t/day").glob("*.json"))
    record.write_bytes(damage)
    assert Lease.acquire(home, "t/day").token == 2
    assert "record 1 of leases/t/day cannot be read" in caplog.text


def test_a_lease_that_would_never_end_is_damaged(tmp_path: Path) -> None:
    home = Home(str(tmp_path), {})
    Lease.acquire(home, "t/day")
    record = next((tmp_path / "leases/t/day").glob("*.json"))
    far = (dt.datetime.now(dt.UTC) + dt.timedelta(days=900)).isoformat()
    record.write_text(json.dumps({**json.loads(record.read_bytes()), "until": far}))
    assert Lease.acquire(home, "t/day").token == 2


def test_what_else_lies_in_the_folder_of_a_lease_is_no_record(tmp_path: Path) -> None:
    home = Home(str(tmp_path), {})
    Lease.acquire(home, "t/day").release()
    for name in (".DS_Store", "000000000003.json~", "copy.json"):
        (tmp_path / "leases/t/day" / name).write_bytes(b"x")
    assert Lease.acquire(home, "t/day").token == 3
