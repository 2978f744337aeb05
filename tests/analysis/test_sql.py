"""SQL over views: what stands of an event is what is answered, and a query that is wrong is told where."""

import datetime as dt
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from seqplat_resources.analysis import sql
from seqplat_resources.analysis.refusals import QueryRefused
from seqplat_resources.analysis.views import views
from seqplat_resources.batch.builds import events, raw
from seqplat_resources.batch.inputs import tables
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.release.runtime import Runtime
from sequence_defs.schema import Column, EventType, Sequence, Source, Tenant, Time
from serving.access.keys import changes
from serving.access.keys.ring import Grant
from serving.access.keys.store import KeyStore
from serving.cli.main import root
from tests.building import days, runtime_for
from tests.lake.test_pruning import bytes_read, planned_files

DAYS = days(dt.date(2024, 5, 1), 6)
OURS = {"tenant": "shop", "owner": "team:shop"}
COLUMNS = (
    Column(name="user", dtype="string", nullable=False, pii=True),
    Column(name="id", dtype="string", nullable=False),
    Column(name="at", dtype="timestamp", nullable=False),
    Column(name="rev", dtype="int64"),
    Column(name="said", dtype="string"),
    Column(name="amount", dtype="string"),
    Column(name="mail", dtype="string", pii=True),
    Column(name="shape", dtype="vector[float16,2]"),
)


def release(home: Path, amount: str, *more: Column) -> Runtime:
    source = Source(
        name="orders", location="{day}.parquet", format="parquet", columns=COLUMNS, event_time=Time(sql="at"),
        user_id="user", rev="rev", op="said", start=DAYS[0], **OURS,  # type: ignore[arg-type]
    )  # fmt: skip
    kept = (Column(name="amount", dtype=amount, sql=f"CAST(amount AS {'BIGINT' if amount == 'int64' else 'TEXT'})"),)
    order = EventType(
        name="order", source="orders", id_field="id",
        columns=(Column(name="id", dtype="string"), *kept, Column(name="mail", dtype="string", pii=True),
                 Column(name="shape", dtype="vector[float16,2]"), *more), **OURS,  # type: ignore[arg-type]
    )  # fmt: skip
    recent = Sequence(
        name="recent", event_types=("order",), columns=("amount", "mail"), length=5, window_days=30, pii="granted",
        **OURS,  # type: ignore[arg-type]
    )  # fmt: skip
    return runtime_for(home / "home", [Tenant(name="shop", tenant="shop"), source, order, recent], home)


def write(folder: Path, day: dt.date) -> None:
    shape = pl.Series([np.array([n, -n], "<f2").tobytes() for n in range(40)], dtype=pl.Binary)
    at = [dt.datetime(day.year, day.month, day.day, 10, n, tzinfo=dt.UTC) for n in range(40)]
    rows = pl.DataFrame(
        {
            "user": [f"u{n % 4}" for n in range(40)],
            # The last two say again what the first two said, and take one of them back.
            "id": [f"{day.day}-{0 if n == 38 else 1 if n == 39 else n}" for n in range(40)],
            "at": at,
            "rev": [int(n >= 38) for n in range(40)],
            "said": ["retract" if n == 39 else "upsert" for n in range(40)],
            "amount": [str(n) for n in range(40)],
            "mail": ["secret@example.org"] * 40,
            "shape": shape,
        }
    ).with_columns(user=pl.when(pl.col("id").str.ends_with("-0")).then(pl.lit("u0")).otherwise("user"))
    rows = rows.with_columns(user=pl.when(pl.col("id").str.ends_with("-1")).then(pl.lit("u1")).otherwise("user"))
    rows.write_parquet(folder / f"{day}.parquet")


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    """Days built while amounts were text, days built since they are numbers, and a column that lies beside days."""
    folder = tmp_path_factory.mktemp("analysis")
    for day in DAYS:
        write(folder, day)
    before = release(folder, "string")
    list(raw.ingest(before, "orders", DAYS))
    list(events.build(before, "order", DAYS[:3]))
    now = release(folder, "int64")
    list(events.build(now, "order", DAYS[3:]))
    now = release(folder, "int64", Column(name="loud", dtype="string", sql="UPPER(id)"))
    list(events.build(now, "order", DAYS[2:5], columns=["loud"]))
    assert tables.events(now, EventPlan.of(now.loaded, "order")).columns_beside()
    return now


def ask(runtime: Runtime, text: str) -> pl.DataFrame:
    return sql.query(views(runtime), text).collect(engine="streaming")


def test_a_view_has_events_that_stand_and_nothing_that_storage_needs(runtime: Runtime) -> None:
    found = ask(runtime, 'SELECT * FROM "order"')
    assert found.columns == ["user_id", "event_id", "event_time", "id", "amount", "shape", "loud", "day"]
    assert found.height == len(DAYS) * 37  # of 40 rows one is a correction, one a retraction, and one is taken back
    assert found.schema["amount"] == pl.Int64
    assert not found["amount"].null_count()
    assert found.filter(pl.col("loud").is_not_null())["day"].unique().sort().to_list() == DAYS[2:5]
    assert found.filter(pl.col("event_id") == "3-7")["shape"].to_list() == [[7.0, -7.0]]
    corrected = ask(runtime, "SELECT amount FROM \"order\" WHERE event_id = '3-0'")
    assert corrected["amount"].to_list() == [38]


def test_stored_tables_are_there_under_their_layer(runtime: Runtime) -> None:
    stored = ask(runtime, "SELECT op, COUNT(*) AS n FROM events_order GROUP BY op ORDER BY op")
    assert stored.rows() == [("retract", len(DAYS)), ("upsert", 37 * len(DAYS))]
    assert "mail" not in ask(runtime, "SELECT * FROM raw_orders").columns


def test_a_day_is_read_alone(runtime: Runtime) -> None:
    """By the plan, and by bytes."""
    found = views(runtime)
    one = sql.query(found, f"SELECT * FROM \"order\" WHERE day = '{DAYS[0]}'")
    every = sql.query(found, 'SELECT * FROM "order"')
    assert planned_files(one)[1] == 1
    assert bytes_read(one) < bytes_read(every) / 3


REFUSED = {
    'SELECT amonut\nFROM "order"': "line 1, column 8: there is no column 'amonut'; did you mean 'amount'?\n"
    "  SELECT amonut\n         ^^^^^^",
    "SELECT 1\n  FROM oder": "line 2, column 8: there is no table or view 'oder'; did you mean 'order'?\n"
    "    FROM oder\n         ^^^^",
    'SELECT o.none FROM "order" o': "line 1, column 10: there is no column 'none'; 'o' has none; "
    '`seqplat sql --tables NAME` shows those of a table\n  SELECT o.none FROM "order" o\n           ^^^^',
    'SELECT nothing(amount) FROM "order"': "line 1, column 8: there is no function 'nothing'\n"
    '  SELECT nothing(amount) FROM "order"\n         ^^^^^^^',
    "SELEC 1": "line 1, column 1: Expected: an SQL statement, found: SELEC\n  SELEC 1\n  ^",
    "/* no */ DROP TABLE x": "line 1, column 10: only SELECT, and EXPLAIN SELECT, can be asked; nothing is changed by "
    "SQL\n  /* no */ DROP TABLE x\n           ^^^^",
    "SELECT * FROM READ_CSV('x')": "line 1, column 15: READ_CSV is not possible; a query reads views and tables, of "
    "which `seqplat sql --tables` shows all\n  SELECT * FROM READ_CSV('x')\n                ^^^^^^^^",
    "SELECT 1; SELECT 2": "one (and only one) statement can be parsed at a time",
    "SELECT 'it": "line 1, column 8: Unterminated string literal\n  SELECT 'it\n         ^",
    "SELECT 1 /* open": "line 1, column 10: a comment has no end\n  SELECT 1 /* open\n           ^",
    "SELECT \0": "a query has no NUL characters",
    "": "one (and only one) statement can be parsed at a time",
}


@pytest.mark.parametrize("text", sorted(REFUSED))
def test_what_is_wrong_is_told_with_its_place(runtime: Runtime, text: str) -> None:
    with pytest.raises(QueryRefused) as raised:
        ask(runtime, text)
    assert str(raised.value) == REFUSED[text]


def test_a_thousand_comments_are_looked_at_once(runtime: Runtime) -> None:
    with pytest.raises(QueryRefused, match="line 1, column 4001: only SELECT"):
        ask(runtime, "/**/" * 1000 + "DROP TABLE x")
    with pytest.raises(QueryRefused, match="found: x"):
        ask(runtime, "/**/" * 1000 + "x")


def test_a_value_that_does_not_fit_is_told_while_it_runs(runtime: Runtime) -> None:
    text = 'SELECT CAST(event_id AS BIGINT) AS n FROM "order"'
    found = views(runtime)
    with pytest.raises(QueryRefused, match="conversion from `str` to `i64` failed"), sql.in_words(text, found):
        sql.query(found, text).collect()


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_a_file_is_there_whole_or_not_at_all(runtime: Runtime, tmp_path: Path, form: sql.Format) -> None:
    out = tmp_path / "out"
    lazy = sql.query(
        views(runtime), 'SELECT user_id, SUM(amount) AS amount FROM "order" GROUP BY user_id ORDER BY user_id'
    )
    sql.write(lazy, str(out), form)
    read = {"csv": pl.read_csv, "json": pl.read_ndjson, "parquet": pl.read_parquet}[form]
    assert read(out).rows() == lazy.collect().rows()
    broken = sql.query(views(runtime), 'SELECT CAST(event_id AS BIGINT) AS n FROM "order"')
    with pytest.raises(pl.exceptions.PolarsError):
        sql.write(broken, str(out), form)
    assert read(out).height == 4
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_csv_has_no_lists(runtime: Runtime, tmp_path: Path) -> None:
    with pytest.raises(QueryRefused, match=r"CSV cannot hold column\(s\) shape"):
        sql.write(sql.query(views(runtime), 'SELECT shape FROM "order"'), str(tmp_path / "out"), "csv")


def test_sorting_more_than_its_memory_gives_the_same_rows() -> None:
    rows = pl.DataFrame({"x": np.random.default_rng(1).integers(0, 1 << 40, 400_000)}).lazy()
    want = rows.sort("x").collect()
    with sql.within_memory(1_000_000):
        assert rows.sort("x").collect(engine="streaming").equals(want)


def seqplat(runtime: Runtime, *words: str, **options: str) -> str:
    said = CliRunner().invoke(root, ["sql", *words], env={"SEQPLAT_HOME": runtime.home.root}, **options)  # type: ignore[arg-type]
    return said.output + (str(said.exception) if said.exception and not isinstance(said.exception, SystemExit) else "")


def test_the_command_shows_the_first_rows_and_says_that_there_are_more(runtime: Runtime) -> None:
    said = seqplat(runtime, "-", "--limit", "2", input='SELECT user_id, id FROM "order" ORDER BY id')
    assert said.splitlines()[0] == "first 2 row(s)"
    assert len(said.splitlines()) == 5
    assert "there are more" in said
    assert "there are more" not in seqplat(runtime, 'SELECT COUNT(*) AS n FROM "order"')
    assert "give a query" in seqplat(runtime)


def test_the_command_shows_what_can_be_asked(runtime: Runtime) -> None:
    said = seqplat(runtime, "--tables")
    assert "order " in said
    assert "events_order" in said
    assert "columns_order" not in said
    assert "read just these days" not in said
    assert "loud" in seqplat(runtime, "--tables", "order")
    assert "there is no table or view 'nothing'" in seqplat(runtime, "--tables", "nothing")


def test_the_command_writes_all_rows(runtime: Runtime, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    said = seqplat(runtime, 'SELECT user_id, day FROM "order"', "--limit", "1", "--json", str(out), "--memory", "100MB")
    assert "wrote" in said
    assert len([json.loads(line) for line in out.read_text().splitlines()]) == 37 * len(DAYS)


def test_a_key_may_ask_for_what_it_may_read(runtime: Runtime) -> None:
    """Columns of its sequences, of personal data those granted, and no stored rows of events."""
    store = KeyStore(runtime.home)
    plain, _ = changes.create(store, "shop", by="tests", roles=("reader",))
    trusted, _ = changes.create(
        store, "shop", by="tests", roles=("reader",), grants={"recent": Grant("shop", pii=("mail",))}
    )
    assert "mail" not in seqplat(runtime, "--tables", "order", "--key", plain.id)
    assert "mail" in seqplat(runtime, "--tables", "order", "--key", trusted.id)
    listed = seqplat(runtime, "--tables", "--key", trusted.id)
    assert "events_order" not in listed
    assert "raw_orders" not in listed
    assert "there is no column 'mail'" in seqplat(runtime, 'SELECT mail FROM "order"', "--key", plain.id)
    assert "there is no table or view 'raw_orders'" in seqplat(runtime, "SELECT * FROM raw_orders", "--key", plain.id)
    assert "secret@example.org" in seqplat(runtime, 'SELECT mail FROM "order"', "--key", trusted.id)
