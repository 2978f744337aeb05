"""What checks found, over HTTP: what each key sees, what people say of incidents, and what cannot be read."""

import datetime as dt
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from litestar import Litestar
from litestar.testing import TestClient

from seqplat_resources.health.results import Built, CheckVerdict, Results
from seqplat_resources.release.runtime import Runtime
from sequence_defs.schema import Tenant
from serving.cli.main import root
from serving.follow.checks import ChecksFollower
from serving.http.app import create_app
from tests.building import ManualClock, utc
from tests.seqplat_assets.shop_days import CLICK, CLICKS, DAYS, shop
from tests.serving.conftest import settings_for
from tests.serving.keys import new_headers

Client = TestClient[Litestar]
WHY = '<script>alert("x")</script> \u202e' + "x" * 9_000
PARTNER = {"tenant": "partner", "owner": "team:partner"}
END = {"end": DAYS[-1] + dt.timedelta(days=1)}
SOURCE = CLICKS.model_copy(update=END)
VISITS = CLICKS.model_copy(update={"name": "visits", **PARTNER, **END})
VISIT = CLICK.model_copy(update={"name": "visit", "source": "visits", **PARTNER})
OPERATOR, SHOP, STRANGER = "operator", "shop", "partner"


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    """A shop, and a partner of whose events nothing was ever built."""
    clock = ManualClock(utc(2024, 5, 6, 12))
    runtime = shop(tmp_path, Tenant(name="partner", **PARTNER), VISITS, VISIT, source=SOURCE, clock=clock)
    keep(
        runtime,
        CheckVerdict("events/click", "rejects", DAYS[0], "warn", 0.5, 0.01, WHY, {"rows": 3.0}, mark=1),
        CheckVerdict("events/click", "schema", DAYS[0], "pass", 0.0, 0.0, mark=1),
    )
    return runtime


def keep(runtime: Runtime, *told: CheckVerdict) -> None:
    built = lambda: [Built("events/click", DAYS[0], 1)]  # noqa: E731
    Results(runtime.home, runtime.clock).record(told, built=built, run="run-1", release=runtime.loaded.id)


@pytest.fixture
def sent(runtime: Runtime) -> dict[str, dict[str, str]]:
    return {
        OPERATOR: new_headers(runtime.home, "partner", roles=("operator",), name="on call"),
        SHOP: new_headers(runtime.home, "shop", roles=("reader",), name="models of the shop"),
        STRANGER: new_headers(runtime.home, "partner", roles=("reader",)),
        "one": new_headers(runtime.home, "shop", roles=("reader",), reads_own=False),
    }


@pytest.fixture
def client(runtime: Runtime, sent: dict[str, dict[str, str]]) -> Iterator[Client]:
    with TestClient(create_app(settings_for(Path(runtime.home.root)))) as running:
        yield running


def refused(client: Client, sent: dict[str, str]) -> dict[str, Any]:
    """The incident of what was refused."""
    [found] = client.get("/v1/checks?check=rejects&status=warn", headers=sent).json()["incidents"]
    return dict(found)


def test_a_key_sees_what_its_tenant_has_and_an_operator_everything(
    client: Client, sent: dict[str, dict[str, str]]
) -> None:
    def assets(who: str) -> set[str]:
        return {row["asset"] for row in client.get("/v1/checks", headers=sent[who]).json()["rows"]}

    of_shop = {"raw/clicks", "events/click", "sequences/recent", "online/click"}
    of_partner = {"raw/visits", "events/visit", "online/visit"}
    assert (assets(OPERATOR), assets(SHOP), assets(STRANGER)) == (of_shop | of_partner, of_shop, of_partner)
    assert assets("one") == set(), "a key of some sequences sees those"
    assert client.get("/v1/checks").status_code == 401


def test_a_cell_has_value_limit_and_because_and_the_view_counts_itself(
    client: Client, sent: dict[str, dict[str, str]]
) -> None:
    answer = client.get("/v1/checks?owner=Team:Shop", headers=sent[OPERATOR]).json()
    assert (answer["assets"], answer["healthy"], answer["data_up_to"]) == (4, 0, str(DAYS[0]))
    row = next(each for each in answer["rows"] if (each["asset"], each["check"]) == ("events/click", "rejects"))
    cell = next(each for each in row["cells"] if each["status"] == "warn")
    assert (cell["value"], cell["limit"], cell["run"], cell["incident"]) == (
        0.5,
        0.01,
        "run-1",
        refused(client, sent[SHOP])["id"],
    )
    assert (WHY.startswith(cell["because"]), len(cell["because"])) == (True, 600)
    assert ["events/click", "identity_unique"] in answer["never_ran"]
    assert client.get("/v1/checks?status=red", headers=sent[SHOP]).json()["field"] == "status"
    assert client.get("/v1/checks?statu=fail", headers=sent[SHOP]).status_code == 400


def test_the_answer_has_a_tag_and_is_compressed(client: Client, sent: dict[str, dict[str, str]]) -> None:
    first = client.get("/v1/checks", headers={**sent[SHOP], "Accept-Encoding": "zstd"})
    assert (first.headers["content-encoding"], first.json()["channel"]) == ("zstd", "dev")
    again = client.get("/v1/checks", headers={**sent[SHOP], "If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get("/v1/checks", headers={**sent[STRANGER], "If-None-Match": first.headers["etag"]})
    assert other.status_code == 200


def test_an_acknowledged_incident_needs_nobody_and_only_one_is_first(
    client: Client, runtime: Runtime, sent: dict[str, dict[str, str]]
) -> None:
    path = f"/v1/checks/incidents/{refused(client, sent[SHOP])['id']}"
    said = client.post(f"{path}/acknowledge", headers=sent[SHOP], json={"because": "the file comes at noon"})
    assert said.status_code == 200, said.text
    assert (said.json()["needs_you"], said.json()["acknowledged"]["who"]) == (False, "models of the shop")
    assert refused(client, sent[OPERATOR])["acknowledged"]["says"] == "the file comes at noon", "at once"
    late = client.post(f"{path}/acknowledge", headers=sent[OPERATOR], json={"because": "me too"})
    assert (late.status_code, "models of the shop acknowledged" in late.json()["detail"]) == (409, True)
    until = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=3)
    muted = client.post(f"{path}/mute", headers=sent[OPERATOR], json={"because": "known", "until": str(until)})
    assert (muted.status_code, muted.json()["muted_until"]) == (200, str(until))
    keep(runtime, CheckVerdict("events/click", "rejects", DAYS[0], "fail", 1.0, 0.01, "worse", mark=1))
    board: ChecksFollower = client.app.state["board"]
    board.refresh()
    [worse] = client.get("/v1/checks?check=rejects&status=fail", headers=sent[SHOP]).json()["incidents"]
    assert (worse["needs_you"], "acknowledged" in worse, "muted_until" in worse) == (True, False, False)


@pytest.mark.parametrize(
    ("who", "incident", "what", "body", "status", "field"),
    [
        (STRANGER, None, "acknowledge", {"because": "x"}, 404, "incident"),
        ("one", None, "acknowledge", {"because": "x"}, 404, "incident"),
        (SHOP, "nothing", "acknowledge", {"because": "x"}, 404, "incident"),
        (SHOP, None, "acknowledge", {}, 400, "because"),
        (SHOP, None, "acknowledge", {"because": "x", "who": "ann"}, 400, "who"),
        (SHOP, None, "acknowledge", {"because": "  "}, 400, None),
        (SHOP, None, "mute", {"because": "x", "until": "tomorrow"}, 400, "until"),
        (SHOP, None, "mute", {"because": "x", "until": "2020-01-01"}, 400, None),
        (SHOP, None, "mute", {"because": "x", "until": "2999-01-01"}, 400, None),
    ],
)
def test_what_cannot_be_said_is_refused(
    client: Client,
    sent: dict[str, dict[str, str]],
    who: str,
    incident: str | None,
    what: str,
    body: dict[str, str],
    status: int,
    field: str | None,
) -> None:
    path = f"/v1/checks/incidents/{incident or refused(client, sent[SHOP])['id']}/{what}"
    answer = client.post(path, headers=sent[who], json=body)
    assert (answer.status_code, answer.json().get("field")) == (status, field), answer.text
    assert refused(client, sent[SHOP])["needs_you"]


def test_results_that_cannot_be_read_are_said_and_what_was_seen_last_is_shown(
    client: Client, runtime: Runtime, sent: dict[str, dict[str, str]]
) -> None:
    board: ChecksFollower = client.app.state["board"]
    table = Path(runtime.home.root) / "lake" / "checks"
    keep(runtime, CheckVerdict("events/click", "rejects", DAYS[0], "fail", 1.0, 0.01, "worse", mark=1))
    for path in table.rglob("*.parquet"):
        path.write_bytes(b"damaged")
    board.refresh()
    answer = client.get("/v1/checks", headers=sent[OPERATOR]).json()
    assert "delete that folder" in answer["errors"][0]
    assert answer["as_of"].startswith("2024-05-06T12:00:00"), "of what was seen last"
    assert refused(client, sent[SHOP])["status"] == "warn"
    of_shop = client.get("/v1/checks", headers=sent[SHOP]).json()["errors"]
    assert (len(of_shop), str(table) in of_shop[0]) == (1, False), "where it lies is nobody else's business"
    metrics = client.get("/metrics", headers=sent[OPERATOR]).text
    assert "seqplat_checks_unreadable 1.0" in metrics
    assert 'seqplat_checks{status="warn"} 1.0' in metrics
    with TestClient(create_app(settings_for(Path(runtime.home.root)))) as fresh:
        unseen = fresh.get("/v1/checks", headers=sent[OPERATOR]).json()
        assert (unseen["healthy"], unseen["as_of"], len(unseen["errors"])) == (0, None, 1)
    shutil.rmtree(table)
    keep(runtime, CheckVerdict("events/click", "rejects", DAYS[0], "pass", mark=1))
    board.refresh()
    assert client.get("/v1/checks", headers=sent[OPERATOR]).json()["errors"] == []


def test_the_command_says_it_with_its_exit_code(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQPLAT_HOME", runtime.home.root)
    run = CliRunner()
    shown = run.invoke(root, ["checks", "--owner", "team:shop"])
    assert (shown.exit_code, "0 of 4 healthy for data up to 2024-05-01" in shown.output) == (1, True)
    assert "\\u202e" in shown.output, "no text steers the terminal"
    view = json.loads(run.invoke(root, ["checks", "--json", "--check", "rejects", "--status", "warn"]).output)
    [incident] = view["incidents"]
    assert run.invoke(root, ["checks", "acknowledge", "zzz", "--because", "x"]).exit_code == 1
    said = run.invoke(root, ["checks", "acknowledge", incident["id"][:6], "--because", "they know"])
    assert (said.exit_code, "acknowledged" in said.output) == (0, True), said.output
    well = run.invoke(root, ["checks", "--check", "rejects", "--status", "warn"])
    assert (well.exit_code, "they know" in well.output) == (0, True), well.output
    for path in (Path(runtime.home.root) / "lake" / "checks").rglob("*.parquet"):
        path.write_bytes(b"damaged")
    broken = run.invoke(root, ["checks"])
    assert (broken.exit_code, "delete that folder" in broken.output) == (2, True)
