"""Views of installations that nobody has: large ones, empty ones, and ones whose texts are attacks."""

import datetime as dt
import random
from collections.abc import Sequence

from seqplat_resources.health.view import (
    WORST_FIRST,
    Cell,
    CheckRow,
    Health,
    Incident,
    MigrationRow,
    Note,
    Status,
    rank,
)

DAYS = 30
TODAY = dt.date(2026, 11, 30)
NOW = dt.datetime(2026, 11, 30, 13, 20, tzinfo=dt.UTC)
WINDOW = tuple(TODAY - dt.timedelta(days=n) for n in range(DAYS, 0, -1))
RUN = "0f4c2a9e-8c1d-4d57-9f3e-6a1b2c3d4e5f"

# What somebody would write who wants to be more than a text.
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "</title></style><script>alert(1)</script>",
    "{{ 7 * 7 }} {% raw %}",
    "\u202egnihton si siht\u2066",
    "مرحبا بالعالم שלום",
    "a\x00b\x1b[31mred\r\nSet-Cookie: a=b",
    "half a letter \ud800",
    "x" * 10_000,
)
_CHECKS = ("schema", "identity_unique", "complete_against_raw", "rejects", "served_equals_batch")
_BECAUSE = "{:,} of {:,} raw rows gave no event; the first is transactions:{}@{} (quantity > 0)"


def health(rows: int = 44, *, seed: int = 1, hostile: bool = False) -> Health:
    """A view of so many rows; with ``hostile`` every text of it is one that somebody else wrote."""
    dice = random.Random(seed)
    made = sorted((_row(n, dice, hostile=hostile) for n in range(rows)), key=lambda row: rank(row.worst))
    incidents = tuple(_incidents(made, hostile=hostile))
    unwell = {row.asset for row in made if row.worst != "pass"}
    assets = {row.asset for row in made}
    return Health(
        release="bda3b33e269b24b73c5b9e502ccd0c25927f279b2e3e7a30b57e7d4a9193fc02",
        channel=HOSTILE[0] if hostile else "prod",
        days=WINDOW,
        data_up_to=WINDOW[-1] if rows else None,
        rows=tuple(made),
        incidents=incidents,
        assets=len(assets),
        healthy=len(assets - unwell),
        need_you=sum(each.needs_you for each in incidents),
        never_ran=(("events/returns", "schema"), ("events/returns", "rejects")) if rows else (),
        at=NOW,
        as_of=NOW - dt.timedelta(minutes=12) if rows else None,
        errors=HOSTILE if hostile else (),
    )


def migration(*, hostile: bool = False) -> tuple[MigrationRow, ...]:
    """Event types at every kind of place."""
    said = HOSTILE[1] if hostile else "score differs for 0.412 % of users, and 0.1 % is the limit"
    return (
        _moving("checkout", "ab_10", 0.1, state="FAIL", because=said, blocking="score", value=0.00412, limit=0.001),
        _moving(
            "click",
            "shadow",
            0.0,
            state="HOLD",
            because="needs about 2,310 more users",
            needs_users=2_310,
            about_days=3.0,
        ),
        _moving("search", "ab_50", 0.5, state="PASS", stale=True, because="events/search 2026-11-28 was built anew"),
        _moving("add_to_basket", "shadow", 0.0, because="there is no verdict"),
        _moving("a_name_that_goes_on_" * 4, "live", 1.0, state="PASS", held=True, because=""),
    )


def _moving(name: str, step: str, share: float, **more: object) -> MigrationRow:
    given: dict[str, object] = {
        "tenant": "grocery",
        "owner": "team:personalisation",
        "since": NOW - dt.timedelta(days=3),
        "held": False,
        "state": None,
        "stale": False,
        "verdict": 4,
        "judged_at": NOW - dt.timedelta(hours=9) if more.get("state") else None,
        "needs_users": None,
        "about_days": None,
        "blocking": None,
        "value": None,
        "limit": None,
        "next": f"seqplat cutover status {name}",
    }
    return MigrationRow(event_type=name, step=step, share=share, **{**given, **more})  # type: ignore[arg-type]


def _row(number: int, dice: random.Random, *, hostile: bool) -> CheckRow:
    check = _CHECKS[number % len(_CHECKS)]
    name = ["purchase", "click", "search", "checkout", "campaign_received"][number // 5 % 5]
    asset = f"events/{name}" if number < 25 else f"events/{name}_{number // 25}"
    if number == 7:
        asset = "events/" + "an_event_type_whose_name_never_ends_" * 3
    bad = dice.random()
    cells: Sequence[Cell] = [_cell(day, bad, dice, hostile=hostile) for day in WINDOW]
    if number % 11 == 10:
        status: Status = "fail" if bad > 0.9 else "pass"
        said = "" if status == "pass" else "2026-11-27 to 2026-11-29 are not built: raw/clicks waits for its file"
        cells, check = (
            [Cell(None, status, because=said, at=NOW, run=RUN, incident="1f" if said else None)],
            "days_built",
        )
    return CheckRow(
        asset=asset,
        layer=asset.split("/")[0],
        name=asset.split("/")[1],
        tenant=HOSTILE[number % len(HOSTILE)] if hostile else dice.choice(["grocery", "ads"]),
        owner=HOSTILE[(number + 1) % len(HOSTILE)] if hostile else dice.choice(["team:shop", "team:ads", "team:data"]),
        check=check,
        description=HOSTILE[(number + 2) % len(HOSTILE)] if hostile else "Columns and types are those of the release.",
        blocking=number % 2 == 0,
        cells=tuple(cells),
        worst=min((cell.status for cell in cells if cell.is_due), key=rank, default="unjudged"),
    )


def _cell(day: dt.date, bad: float, dice: random.Random, *, hostile: bool) -> Cell:
    """Most are well; a row that is not has some days of it."""
    value, limit = dice.random() * 0.0009, 0.001
    dealt = dice.random()
    if hostile:
        status = dice.choice(WORST_FIRST)
        value, was = dice.choice([float("nan"), 1e308, -5.0, None]), "pass" if status == "stale" else None
        return Cell(day, status, was, value, limit, dice.choice(HOSTILE), NOW, HOSTILE[1], "<script>")  # type: ignore[arg-type]
    because = _BECAUSE.format(
        dice.randrange(900), dice.randrange(10_000, 90_000), dice.randrange(4), dice.randrange(10**6)
    )
    if bad > 0.85 and dealt > 0.6:
        return Cell(day, "fail" if bad > 0.93 else "warn", None, value * 9, limit, because, NOW, RUN, "1f")
    if bad < 0.08 and dealt > 0.7:
        return Cell(day, "stale", "pass", value, limit, "built anew since it was judged", NOW, RUN, "2a")
    if dealt < 0.01:
        return Cell(day, "unjudged", because="built, and not judged")
    return Cell(day, "pass", None, value, limit, "", NOW, RUN)


def _incidents(rows: Sequence[CheckRow], *, hostile: bool) -> list[Incident]:
    touched = tuple((row.asset, row.check, 3) for row in rows if row.worst in ("fail", "warn"))
    if not touched:
        return []
    since = NOW - dt.timedelta(days=2, hours=3)
    if hostile:
        note = Note(HOSTILE[0], NOW, HOSTILE[1])
        return [
            Incident(f"<b>{n}", text, "fail", touched[0][0], WINDOW[-3:], touched[:4], since, text, text, text)
            for n, text in enumerate(HOSTILE)
        ] + [Incident("ack", HOSTILE[2], "warn", touched[0][0], (), touched[:1], None, "", "", None, note)]
    return [
        Incident("1f", "raw/clicks waits for its file", "fail", "raw/clicks", WINDOW[-3:], touched[:9], since,
                 "clicks/2026-11-27.parquet is not there; the vendor delivers until 06:00 UTC",
                 "seqplat materialize 2026-11-27 2026-11-29 --missing", RUN),
        Incident("2a", "events/search: complete_against_raw does not pass", "warn", "events/search", WINDOW[-1:],
                 (("events/search", "complete_against_raw", 1),), since,
                 "412 of 81,203 raw rows gave no event; the first is transactions:0@17 (quantity > 0)",
                 "seqplat materialize 2026-11-29 2026-11-29 events/search+", RUN),
        Incident("3c", "events/click was built anew since it was judged", "stale", "events/click", WINDOW[-9:-5],
                 (("events/click", "schema", 4),), since, "built anew since it was judged",
                 "seqplat materialize 2026-11-21 2026-11-24 events/click+", None,
                 Note("ana", NOW, "the backfill of Friday; checks run tonight")),
    ]  # fmt: skip
