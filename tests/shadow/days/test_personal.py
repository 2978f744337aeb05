"""Personal data of either side never stands in what a comparison keeps and prints."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from seqplat_resources.batch.builds import events, raw
from seqplat_resources.shadow.days.build import compare
from seqplat_resources.shadow.days.kept import ComparedDays
from seqplat_resources.shadow.days.window import judged
from seqplat_resources.shadow.verdict.account import markdown
from seqplat_resources.shadow.verdict.record import VerdictLog
from sequence_defs.schema import Compared
from tests.building import runtime_for
from tests.shadow.world import DAYS, World, old_visits, shop, visit, visits

SECRET_PAGE, SECRET_USER = "secret@page.example", "secret-user"


def _marked(definition: Any, *personal: str) -> Any:
    columns = tuple(c.model_copy(update={"pii": c.name in personal}) for c in definition.columns)
    return definition.model_copy(update={"columns": columns})


@pytest.mark.parametrize("where", ["ours", "legacy", "nowhere"])
def test_personal_data_is_told_to_differ_and_not_shown(tmp_path: Path, where: str) -> None:
    ours, theirs, definition = visits, old_visits, visit()
    if where == "ours":
        ours, definition = _marked(visits, "member", "page", "score"), _marked(definition, "page", "score")
    if where == "legacy":
        theirs = _marked(old_visits, "who", "page", "points")
    # A text that is no number is told with its value, where that may be shown.
    points = theirs.columns[-1].model_copy(update={"dtype": "string"})
    theirs = theirs.model_copy(update={"columns": (*theirs.columns[:-1], points)})
    legacy = definition.legacy
    assert legacy is not None
    columns = {"page": Compared(), "score": Compared(field="points")}
    definition = definition.model_copy(update={"legacy": legacy.model_copy(update={"columns": columns})})
    world = World(tmp_path / "world", definition)
    is_secret = pl.col("visit").is_in(range(3))
    world.ours = world.ours.with_columns(member=pl.when(is_secret).then(pl.lit(SECRET_USER)).otherwise("member"))
    number = pl.col("nr").is_in(range(3))
    world.old = world.old.with_columns(
        who=pl.when(number).then(pl.lit(SECRET_USER)).otherwise("who"),
        page=pl.when(number).then(pl.lit(SECRET_PAGE)).otherwise("page"),
        points=pl.when(number).then(pl.lit("secret-score")).otherwise(pl.col("points").cast(pl.String)),
    )
    world.write()
    runtime = runtime_for(tmp_path / "other", [shop, ours, theirs, definition], world.folder)
    for source in ("visits", "old_visits"):
        list(raw.ingest(runtime, source, DAYS[:1]))
    list(events.build(runtime, "visit", DAYS[:1]))
    results = list(compare(runtime, "visit", DAYS[:1]))
    found = judged(runtime, "visit", until=DAYS[0], who="ann")
    assert found.record.causes["unexplained"] >= 3
    kept = VerdictLog(runtime.home, "visit").read(found.number).decode()
    table = ComparedDays.of(runtime, "visit").table.scan().select("says").collect()
    said = "\n".join([kept, markdown(found.record), str(results), *map(str, table["says"])])
    for secret in (SECRET_PAGE, SECRET_USER, "secret-score"):
        assert (secret in said) is (where == "nowhere"), secret
    assert "page" in said
