"""A readout over HTTP and on the command line: who sees it, and what it says of either arm."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from litestar.testing import TestClient

from seqplat_resources.shadow.experiment.build import read_out_days
from seqplat_resources.shadow.experiment.readout import EXIT_CODES
from serving.cli.main import root
from serving.http.app import create_app
from tests.building import ManualClock, utc
from tests.serving.conftest import settings_for
from tests.serving.keys import new_headers
from tests.shadow.experiment.divided import EVERYBODY, OURS, START, build, climb, divided, expose, without
from tests.shadow.world import DAYS
from tests.sources.log.logs import until

PATH = "/v1/migration/visit/readout"


def test_those_who_see_an_event_type_see_its_readout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, world = ManualClock(utc(2024, 6, 1)), divided(tmp_path / "world")
    without(world, OURS, 0.7)
    runtime = build(world, clock)
    operator = new_headers(runtime.home, "shop", roles=("operator",))
    reader, stranger = (new_headers(runtime.home, tenant, roles=("reader",)) for tenant in ("shop", "elsewhere"))
    with TestClient(create_app(settings_for(Path(runtime.home.root))), raise_server_exceptions=False) as client:
        until(lambda: client.get("/v1/migration", headers=operator).status_code == 200, "checks are looked at")
        early = client.get(PATH, headers=operator)
        assert (early.status_code, early.json()["detail"]) == (404, "there is no readout of 'visit'")
        expose(runtime, EVERYBODY, START, climb(runtime, clock, "ab_50", START), 5000)
        list(read_out_days(runtime, "visit", DAYS))
        found = client.get(PATH, headers=reader)
        answer = found.json()
        assert answer == client.get(PATH, headers=operator).json()
        assert (answer["state"], answer["day"], answer["step"]) == ("FAIL", str(DAYS[-1]), "ab_50")
        assert (answer["ours"], answer["legacy"], answer["declared"]) == (len(OURS), 400 - len(OURS), 0.5)
        assert "guardrail came_back: worse than legacy by more than 10 %" in answer["because"]
        visits = next(each for each in answer["metrics"] if each["name"] == "visits")
        assert visits["least"] < visits["change"] < visits["most"] < 0
        assert (visits["direction"], visits["users"], visits["waiting"]) == ("worse", 400, 0)
        assert client.get(PATH, headers={**reader, "if-none-match": found.headers["etag"]}).status_code == 304
        page = client.get("/console/event-types/visit", headers=reader).text
        assert "guardrail came_back: worse than legacy by more than 10 %" in page
        assert page.count('<tr><td class="name">came_back</td><td>worse</td>') == 1
        for path, headers in ((PATH, stranger), (PATH.replace("visit", "visits"), operator)):
            assert client.get(path, headers=headers).status_code == 404

    monkeypatch.setenv("SEQPLAT_HOME", runtime.home.root)
    monkeypatch.setenv("SEQPLAT_SOURCES", str(world.folder))
    printed = CliRunner().invoke(root, ["cutover", "readout", "visit", "--until", str(DAYS[-1])])
    assert printed.exit_code == EXIT_CODES["FAIL"], printed.output
    assert "FAIL visit at ab_50, until the end of 2024-05-08: guardrail came_back: worse" in printed.output
    assert "users first exposed at ab_50 (move 3), since 2024-05-02 01:00 UTC" in printed.output
    record = CliRunner().invoke(root, ["cutover", "readout", "visit", "--until", str(DAYS[-1]), "--json"])
    assert json.loads(record.output)["ratio"]["ours"] == len(OURS)
    before = CliRunner().invoke(root, ["cutover", "readout", "visit", "--until", "2024-05-01"])
    assert "no user of 'visit' was divided until 2024-05-01" in str(before.exception)
