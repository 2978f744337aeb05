"""One event type on its way from a nightly job to this platform: every step of the ladder, with what goes wrong on it.

Nothing that is printed is written here: commands say it, and ``Shell.claim`` stops the walk where it is not so.
"""

import datetime as dt
import difflib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import polars as pl

from examples.legacy_job import nightly
from examples.migration import tills
from examples.migration.shell import Api, ClaimFalse, Shell, later

FIRST: Final = dt.date(2017, 11, 6)
DAYS: Final = 8  # that are compared before anybody is moved
EVENT, SEQUENCE = "receipt", "shopping"
END: Final = "The nightly job ends."
COLUMNS: Final = "event_time,till,amount"
DAYS_LATER: Final = 15
INSTALLED: Final = ("SEQPLAT_HOME", "SEQPLAT_DEFINITIONS", "SEQPLAT_SOURCES")
# Of what `seqplat materialize` says, the lines that the story is about.
BUILT: Final = ("events/", "shadow", "next")
COMPARED: Final = ("shadow", "next")

OUR_FAULTS = {
    "Time(sql=\"STRPTIME(local_time, '%Y-%m-%d %H:%M:%S')\")": (
        'Time(sql="STRPTIME(local_time, \'%Y-%m-%d %H:%M:%S\')", timezone="America/New_York")'
    ),
    "Time(sql=\"STRPTIME(t, '%Y-%m-%d %H:%M:%S')\")": (
        'Time(sql="STRPTIME(t, \'%Y-%m-%d %H:%M:%S\')", timezone="America/New_York")'
    ),
    'filter="amount > 0"': 'filter="lines > 0"',
    '"amount": Compared()': '"amount": Compared(relative=1e-6)',
}


@dataclass
class Walk:
    """The state of the demo: a folder with data of both pipelines, definitions and the home; the next ``day``."""

    shell: Shell
    folder: Path
    day: dt.date = FIRST

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def definitions(self) -> Path:
        return self.folder / "definitions" / "receipts.py"

    def nights(self, count: int) -> tuple[str, str]:
        """Both pipelines get the next days; legacy works them off. Returns the first and last of them."""
        first = self.day
        for _ in range(count):
            self.job(self.day)
            self.day += dt.timedelta(days=1)
        return str(first), str(self.day - dt.timedelta(days=1))

    def job(self, day: dt.date) -> None:
        """Legacy's work of one night."""
        nightly.run(self.data, day)
        self.shell.show(f"python -m examples.legacy_job.nightly {self.data} {day}", [])

    def edit(self, changes: Mapping[str, str]) -> None:
        """Change the definitions as a person would, and show what was changed."""
        before = after = self.definitions.read_text()
        for old, new in changes.items():
            if after.count(old) != 1:
                raise ClaimFalse(f"{old!r} is not once in {self.definitions}")
            after = after.replace(old, new)
        self.definitions.write_text(after)
        lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
        self.shell.note(line for line in lines if line[:2] not in ("--", "++", "@@"))

    def verdict(self, name: str = EVENT) -> dict[str, Any]:
        """The newest one, as its record says it."""
        return json.loads(self.shell.heard("shadow", "check", name, "--json"))["verdict"]

    @cached_property
    def early(self) -> str:
        """A household that is moved with the first tenth."""
        return self._household(100, 1_000)

    @cached_property
    def late(self) -> str:
        """One that is moved last."""
        return self._household(5_000, 10_000)

    def _household(self, least: int, most: int) -> str:
        """Of those in that range by the published formula one that will use a till with the new firmware, and has
        been shopping before.
        """
        rows = pl.read_parquet(self.data / "tills" / f"{tills.FIRMWARE}.parquet").sort("closed_at")
        last = rows.group_by("household_id", maintain_order=True).last()
        last = last.filter(pl.col("unit") == "cents", pl.col("amount").is_between(1_000, 50_000))
        before = pl.read_parquet(self.data / "tills" / f"{FIRST + dt.timedelta(days=DAYS)}.parquet")
        users = last.join(before, on="household_id", how="semi")["household_id"].sort()
        return next(user for user in map(str, users) if least <= place_of(EVENT, user) < most)


def place_of(event_type: str, user: str) -> int:
    """Of 10,000 places, as docs/cutover.md says it: users below a step's share have our events."""
    digest = hashlib.sha256(f"{event_type}\n{user}".encode()).digest()
    return int.from_bytes(digest[:8], "big") * 10_000 >> 64


def walk(shell: Shell, folder: Path) -> None:
    """
    Raises:
        ClaimFalse: something that is said is not so.
    """
    with installed(folder):
        demo = Walk(shell, folder)
        two_pipelines(demo)
        a_gate_that_fails(demo)
        what_is_ours(demo)
        what_is_theirs(demo)
        key = shell.heard("keys", "create", "grocery", "--name", "demo", "--quiet").strip()
        with Api.running(shell, key, folder / "api.log") as api:
            up_the_ladder(demo, api)
            a_live_gate_breaks(demo, api)
            the_second_attempt(demo, api)
        the_end_of_legacy(demo)


@contextmanager
def installed(folder: Path) -> Iterator[None]:
    """An installation of its own in a new ``folder``; one that an earlier demo left there is deleted."""
    mine = folder / "definitions" / "receipts.py"
    if folder.exists() and any(folder.iterdir()) and not mine.exists():
        raise ClaimFalse(f"{folder} is not empty and is none of this demo's folders; name another one")
    shutil.rmtree(folder, ignore_errors=True)
    mine.parent.mkdir(parents=True)
    shutil.copy(Path(__file__).parent / "definitions" / "receipts.py", mine)
    home = dict(zip(INSTALLED, (folder / "home", mine.parent, folder / "data"), strict=True))
    with patch.dict(os.environ, {name: str(path) for name, path in home.items()}):
        os.environ.pop("DAGSTER_HOME", None)
        yield


def two_pipelines(demo: Walk) -> None:
    shell = demo.shell
    shell.title("1. Two pipelines, one shop")
    shell.say("An installation of its own:")
    shell.show("export " + " ".join(f"{name}={os.environ[name]}" for name in INSTALLED), [])
    receipts = tills.write(demo.data, FIRST, FIRST + dt.timedelta(days=DAYS + 2))
    shell.say(
        f"{receipts:,} receipts of {tills.NEIGHBOURS} x 296 households. A job from 2014 makes a table and a blob per "
        "household of them every night, and serves today's users."
    )
    demo.nights(DAYS)


def a_gate_that_fails(demo: Walk) -> None:
    shell, (first, last) = demo.shell, (str(FIRST), str(demo.day - dt.timedelta(days=1)))
    shell.title("2. Side by side: the gate fails, and says why")
    shell.say("The first definitions name both sides; `seqplat check` finds nothing to say against them.")
    shell.seqplat("publish")
    shell.say("Dagster builds ours and reads legacy's, compares them day by day, and judges all days together.")
    shell.seqplat("materialize", first, last, code=1, only=BUILT)
    shell.say("What do the two disagree on, and whose fault is it?")
    shell.seqplat("shadow", "verdict", EVENT, code=1)
    found = demo.verdict()
    causes = {cause for cause, count in found["causes"].items() if count}
    shell.claim("the gate fails", found["decision"]["state"] == "FAIL")
    wanted = {"clock", "filter", "rounding", "late", "enrichment_version"}
    shell.claim(f"it tells {', '.join(sorted(wanted))} apart", wanted <= causes, found=causes)
    shell.claim("causes add up to all differences", sum(found["causes"].values()) == found["differences"])
    shell.say("Nobody may be moved on such grounds.")
    shell.seqplat("cutover", "advance", EVENT, code=1)
    user, receipt = filtered(demo)
    shell.say("One of the receipts that only legacy has: why do we not have it?")
    shell.seqplat("explain", SEQUENCE, user, receipt)


def filtered(demo: Walk) -> tuple[str, str]:
    """A receipt of the newest day that only legacy has, because of our filter."""
    files = sorted((demo.data / "tills").glob("*.parquet"))
    rows = pl.concat([pl.read_parquet(f) for f in files]).filter(pl.col("amount") == 0, pl.col("lines") > 0)
    rows = rows.filter(pl.col("closed_at").dt.date() < demo.day).sort("closed_at")
    return str(rows["household_id"][-1]), str(rows["receipt_id"][-1])


def what_is_ours(demo: Walk) -> None:
    shell = demo.shell
    shell.title("3. What is our fault is mended in the definitions")
    shell.say(
        "We read the stores' clock as UTC; we left out receipts that coupons paid in full, which are receipts all the "
        "same; and an amount in 32 bits is near enough."
    )
    demo.edit(OUR_FAULTS)
    shell.say("Days that are built lie by the wrong clock. None of them was served, and all are built again.")
    reason = "None of our days is served yet; all are built again."
    shell.seqplat("publish", "--allow-breaking", "--reason", reason)
    shell.seqplat("materialize", str(FIRST), str(demo.day - dt.timedelta(days=1)), code=1, only=BUILT)
    shell.seqplat("shadow", "verdict", EVENT, code=1)
    found = demo.verdict()
    left = {cause for cause, count in found["causes"].items() if count}
    shell.claim("what is left is legacy's", left == {"enrichment_version", "late"}, found=found["causes"])


def what_is_theirs(demo: Walk) -> None:
    shell, until = demo.shell, str(dt.date.today() + dt.timedelta(days=90))
    shell.title("4. What is legacy's is accepted, by somebody, up to a level, until a day")
    shell.say(
        "Receipts that came late explain themselves: legacy never looks again. Some vectors are those of the model "
        "before; nobody will mend a job that is to be switched off, and somebody says so."
    )
    shell.seqplat(
        *("shadow", "accept", EVENT, "differs_product_vector", "0.06", "--until", until, "--owner", "ana"),
        *("--reason", "The nightly job loads 8,000 vectors of a model and no more; ours are right."),
    )
    shell.seqplat("shadow", "verdict", EVENT)
    shell.say("Sequences are judged as well: the newest receipts of each household, as legacy's blobs have them.")
    shell.seqplat("shadow", "verdict", SEQUENCE)


def up_the_ladder(demo: Walk, api: Api) -> None:
    shell = demo.shell
    shell.title("5. Up the ladder, one night a step")
    shell.say("A verdict that passes is worth one step: one household in a hundred gets our receipts.")
    shell.seqplat("cutover", "advance", EVENT)
    shell.say("It is worth one step, and no more.")
    shell.seqplat("cutover", "advance", EVENT, code=1)
    shell.say("So each night both pipelines run, the comparison is made anew, and people decide in the morning.")
    night(demo)
    shell.say("Two households ask the API, one of them moved: `meta.arms` says whose events it is answered with.")
    for user, arm in ((demo.early, "ours"), (demo.late, "legacy")):
        api.sequence(SEQUENCE, user, COLUMNS, {EVENT: arm})
    shell.say("A step may also rest on a second look at the same days, if somebody takes it.")
    look_again(demo)
    shell.seqplat("cutover", "advance", EVENT)
    night(demo)
    shell.say("Everybody has our receipts now; legacy goes on every night, and so does the comparison.")
    api.sequence(SEQUENCE, demo.late, COLUMNS, {EVENT: "ours"})


def night(demo: Walk) -> None:
    """One more day, compared, and one step up on the grounds of it."""
    first, last = demo.nights(1)
    demo.shell.seqplat("materialize", first, last, only=COMPARED)
    demo.shell.seqplat("cutover", "advance", EVENT)


def look_again(demo: Walk) -> None:
    """A new verdict, on what was compared already."""
    for name in (EVENT, SEQUENCE):
        demo.shell.seqplat("shadow", "verdict", name, only=(f"PASS {name}",))


def a_live_gate_breaks(demo: Walk, api: Api) -> None:
    shell = demo.shell
    shell.title("6. A live gate breaks, and users are taken back")
    shell.say(
        "Self-service tills get a firmware that counts in cents. The old job has known such tills for years; nobody "
        "told us, so we serve amounts that are a hundred times too large, until the night's verdict."
    )
    first, last = demo.nights(1)
    shell.seqplat("materialize", first, last, code=1, only=COMPARED)
    shell.say("The household that moved late is answered with legacy again; one that stayed moved is not, and sees it.")
    right = api.sequence(SEQUENCE, demo.late, COLUMNS, {EVENT: "legacy"}, limit=1)
    wrong = api.sequence(SEQUENCE, demo.early, COLUMNS, {EVENT: "ours"}, limit=1)
    shell.claim("only who has ours sees cents for dollars", paid(right) < 1000 <= paid(wrong), found=(right, wrong))
    shell.say("What broke? The comparison has found the tills.")
    shell.seqplat("shadow", "verdict", EVENT, "--no-keep", code=1)
    worst = demo.verdict()["cohorts"][0]
    shell.claim("the worst cohort is that of the new firmware", worst["value"] == "self_service", found=worst["value"])
    shell.say("It is held where it is until somebody has looked.")
    shell.seqplat("cutover", "status", EVENT)


def paid(answer: Mapping[str, Any]) -> float:
    """Of the newest receipt."""
    return answer["columns"]["amount"][0]


def the_second_attempt(demo: Walk, api: Api) -> None:
    shell, last = demo.shell, str(demo.day - dt.timedelta(days=1))
    shell.title("7. Mended, and up again")
    shell.say("The tills' gateway is mended and sends the day again, in dollars; legacy and we build it again.")
    tills.send_again(demo.data, tills.FIRMWARE)
    demo.job(tills.FIRMWARE)
    shell.seqplat("materialize", last, only=COMPARED)
    shell.seqplat("cutover", "hold", EVENT, "--resume", "The gateway sends dollars again.")
    shell.seqplat("cutover", "advance", EVENT)
    again = [api.sequence(SEQUENCE, user, COLUMNS, {EVENT: "ours"}, limit=1) for user in (demo.late, demo.early)]
    shell.claim("everybody has ours, in dollars", max(map(paid, again)) < 1000, found=again)


def the_end_of_legacy(demo: Walk) -> None:
    shell = demo.shell
    shell.title("8. Legacy is switched off, when nobody needs it")
    shell.say("May the old job be switched off? There is a list of what has to hold.")
    shell.seqplat("cutover", "retire", EVENT, END, code=1)
    shell.say(f"{DAYS_LATER} days later (commands see a clock that is put forward; everything else is as it was):")
    with later(DAYS_LATER):
        look_again(demo)
        shell.seqplat("cutover", "retire", EVENT, END)
    shell.seqplat("cutover", "status", EVENT)
