"""Who read what, one line each; and that nobody waits for it."""

import asyncio
import io
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from msgspec.structs import replace

from seqplat_resources.home import Home
from serving.access.audit import log as module
from serving.access.audit.files import KEPT_FILES, LogUnwritable, RotatedFile, destination
from serving.access.audit.log import AccessLog, Destination, Line, user_hash
from serving.access.keys.ring import Grant, Limits
from serving.access.keys.secret import new_id, new_text
from serving.access.keys.store import KeyStore
from serving.http.app import create_app
from serving.settings import Settings
from tests.serving.access.conftest import OTHERS, OWN, PERSONAL
from tests.serving.conftest import POLL_S
from tests.serving.keys import headers, new_key
from tests.serving.servers import PATIENCE_S

USER = "1146"
PATH = f"/v1/sequences/{OWN}/users/{USER}"
LINE = Line(at=1_767_225_600.25, request_id="r-1", method="GET", route="/v1/sequences", status=200, ms=1.5)


@contextmanager
def _api(home: Path, **settings: Any) -> Iterator[TestClient[Litestar]]:
    """The API with its access log in ``access.log`` of the home."""
    settings = {"access_log": str(home / "access.log"), "poll_s": POLL_S, **settings}
    with TestClient(create_app(Settings(Home(str(home), {}), **settings)), raise_server_exceptions=False) as client:
        yield client


def _lines(home: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (home / "access.log").read_text().splitlines()]


def test_a_line_says_who_read_what_of_whom(shared: Path) -> None:
    text = new_key(shared, grants={OWN: Grant("grocery", None, (PERSONAL,))})
    with _api(shared) as client:
        sent = {**headers(text), "X-Request-Id": "r-7"}
        answer = client.get(f"{PATH}?columns=brand,{PERSONAL}&limit=3", headers=sent).json()
    [line] = _lines(shared)
    assert line.pop("at").endswith("Z")
    assert 0 < line.pop("ms") < 60_000
    log_key = KeyStore(Home(str(shared), {})).read()[1].log_key
    assert line == {
        "request_id": "r-7",
        "method": "GET",
        "route": "/v1/sequences/{name}/users/{user_id}",
        "status": 200,
        "client": "testclient",
        "tenant": "grocery",
        "key": text.split("_")[1],
        "sequence": OWN,
        "columns": ["brand", PERSONAL],
        "pii": [PERSONAL],
        "users": 1,
        "user_ids": [user_hash(log_key, USER)],
        "events": answer["length"],
        "limit": 3,
        "days": None,
    }


def test_a_batch_names_all_its_users_and_what_chose_among_their_events(shared: Path) -> None:
    text = new_key(shared)
    with _api(shared, access_log_plain=True) as client:
        asked = {"users": [USER, "378", "nobody"], "columns": ["brand"], "where": "quantity > 0"}
        answer = client.post(f"/v1/sequences/{OWN}/batch", json=asked, headers=headers(text)).json()
    [line] = _lines(shared)
    assert (line["users"], line["user_ids"]) == (3, [USER, "378", "nobody"])
    assert line["events"] == sum(user["length"] for user in answer["users"]) > 0
    assert line["columns"] == ["brand", "quantity"]


def test_what_was_refused_is_written_with_the_reason_that_the_caller_is_not_told(shared: Path) -> None:
    text, limited = new_key(shared), new_key(shared, limits=Limits(0.001, 1), roles=("reader",))
    wrong = new_text(text.split("_")[1])
    with _api(shared) as client:
        for sent in ({}, headers("no key"), headers(new_text(new_id())), headers(wrong)):
            client.get(PATH, headers=sent)
        client.get(f"/v1/sequences/{OTHERS}/users/{USER}", headers=headers(text))
        client.get("/v1/status", headers=headers(limited))
        for _ in range(2):
            client.get(f"{PATH}?columns=nothing", headers=headers(limited))
    told = [(line["status"], line.get("refused"), line.get("key"), line.get("sequence")) for line in _lines(shared)]
    key, other = text.split("_")[1], limited.split("_")[1]
    assert told == [
        (401, "no key", None, None),
        (401, "not a key", None, None),
        (401, "unknown key", None, None),
        (401, "wrong secret", key, None),
        (404, None, key, OTHERS),
        (403, "Role needed", other, None),
        (400, None, other, OWN),
        (429, "Quota used", other, None),
    ]


def test_user_ids_are_plain_only_where_a_setting_says_so(shared: Path) -> None:
    text = new_key(shared)
    with _api(shared, access_log_plain=True) as client:
        client.get(PATH, headers=headers(text))
    assert _lines(shared)[0]["user_ids"] == [USER]


def test_no_user_and_no_secret_is_in_any_log_or_answer(
    shared: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    user, text = "9137001", new_key(shared)
    secrets = [text, new_text(text.split("_")[1]), new_text(new_id())]
    answers = []
    with _api(shared, access_log="stderr") as client:
        for each in secrets:
            for path in (f"/v1/sequences/{OWN}/users/{user}", f"/v2/{user}", f"{PATH}?columns=x", "/v1/status"):
                answers.append(client.get(path, headers=headers(each)))
    written = capfd.readouterr()
    # The client's own log has the addresses it asks.
    ours = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("http"))
    err = "\n".join(line for line in written.err.splitlines() if "httpx" not in line)
    everything = ours + written.out + err + "".join(f"{a.text}{a.headers}" for a in answers if a.status_code != 200)
    for each in secrets:
        assert each.rsplit("_", 1)[1] not in everything
    assert user not in ours + written.out + err
    assert err.count('"status":401') == 8


def test_off_is_off(shared: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = new_key(shared)
    with _api(shared, access_log="off") as client:
        assert client.get(PATH, headers=headers(text)).status_code == 200
    assert '"status"' not in capfd.readouterr().err


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LogUnwritable, match=r"file/access.log cannot be written \(.*\); name another file in SEQ"):
        destination(str(tmp_path / "file" / "access.log"), 1000)


class _Slow:
    """A destination that takes what it takes when it is told to."""

    def __init__(self) -> None:
        self.told, self.go, self.written = threading.Event(), threading.Event(), io.BytesIO()

    def write(self, lines: bytes) -> None:
        self.told.set()
        self.go.wait()
        self.written.write(lines)

    def close(self) -> None:
        pass


class _Full:
    """A disk without room, until there is some."""

    def __init__(self) -> None:
        self.is_full, self.refused, self.written = True, 0, io.BytesIO()

    def write(self, lines: bytes) -> None:
        if self.is_full:
            self.refused += 1
            raise OSError(28, "No space left on device")
        self.written.write(lines)

    def close(self) -> None:
        pass


@contextmanager
def _running(log: AccessLog) -> Iterator[None]:
    with asyncio.Runner() as runner:
        context = log.running()
        runner.run(context.__aenter__())
        try:
            yield
        finally:
            runner.run(context.__aexit__(None, None, None))


def _log(to: Destination) -> AccessLog:
    return AccessLog(lambda: to, lambda user: user)


def test_a_slow_destination_delays_nobody_and_lost_lines_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 100)
    slow = _Slow()
    log = _log(slow)
    with _running(log):
        log.note(LINE)
        assert slow.told.wait(PATIENCE_S)  # now the writer has taken that one, and waits
        for n in range(1000):  # who waited for it would wait for ever
            log.note(replace(LINE, request_id=str(n)))
        assert log.dropped == 900
        slow.go.set()
    lines = [json.loads(line) for line in slow.written.getvalue().splitlines()]
    assert len(lines) == 1 + 100 + 1
    assert lines[1]["request_id"] == "0"
    assert lines[-1]["dropped"] == 900


def test_a_full_disk_is_survived_told_once_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    full = _Full()
    log = _log(full)
    with _running(log):
        for lost in range(1, 4):
            log.note(LINE)
            until = time.monotonic() + PATIENCE_S
            while full.refused < lost or log.dropped < lost:
                assert time.monotonic() < until
                time.sleep(module.EVERY_S / 10)
        full.is_full = False
        log.note(LINE)
    assert [r.getMessage() for r in caplog.records if r.name == module.__name__] == [
        "access log: lines are lost, [Errno 28] No space left on device"
    ]
    lines = [json.loads(line) for line in full.written.getvalue().splitlines()]
    assert (len(lines), lines[0]["request_id"], lines[1]["dropped"], log.dropped) == (2, "r-1", 3, 3)


def test_a_line_leaves_out_what_there_is_nothing_of() -> None:
    taken = _Full()
    taken.is_full = False
    log = _log(taken)
    with _running(log):
        log.note(LINE)
    assert json.loads(taken.written.getvalue()) == {
        "at": "2026-01-01T00:00:00.250000Z",
        "request_id": "r-1",
        "method": "GET",
        "route": "/v1/sequences",
        "status": 200,
        "ms": 1.5,
    }


def test_files_are_rotated_by_size_and_the_oldest_go(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "access.log"
    file = RotatedFile(path, 100)
    for n in range(3 * KEPT_FILES):
        file.write(b"%03d " % n + b"x" * 45 + b"\n")
    file.close()
    names = {each.name for each in path.parent.iterdir()}
    assert names == {"access.log", "access.log.lock", *(f"access.log.{n}" for n in range(1, KEPT_FILES + 1))}
    assert path.with_name("access.log.1").read_text().startswith("024")
    assert path.with_name("access.log.9").read_text().startswith("008")


def test_writers_of_one_file_lose_nothing_to_each_others_rotations(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    files = [RotatedFile(path, 30_000) for _ in range(4)]

    def write(number: int) -> None:
        for n in range(1000):
            files[number].write(b'{"writer": %d, "n": %d}\n' % (number, n))

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    found = [json.loads(line) for each in tmp_path.glob("access.log*") for line in each.read_text().splitlines()]
    assert len({(line["writer"], line["n"]) for line in found}) == len(found) == 4000
    assert os.path.exists(f"{path}.1")


def test_a_hash_is_stable_and_needs_the_key() -> None:
    assert user_hash(b"k" * 32, "378") == user_hash(b"k" * 32, "378")
    assert len({user_hash(key, user) for key in (b"a" * 32, b"b" * 32) for user in ("378", "379", "")}) == 6
