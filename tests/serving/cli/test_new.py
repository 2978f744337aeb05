"""``seqplat new`` says what it sees of any file, asks nobody who is not there, writes over nothing, and what it writes
is a definition without findings that the engine runs."""

import datetime as dt
import gzip
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import polars as pl
import pytest
import zstandard
from click.testing import CliRunner, Result

from seqplat_resources.errors import SeqplatError
from seqplat_resources.sampling import pieces
from sequence_defs.analysis.runner import analyse
from sequence_defs.compiler.discover import discover
from sequence_defs.compiler.project import Project
from sequence_defs.schema import EventType, Source
from serving.cli.main import root

AT = [f"2026-11-{20 + number % 8}T10:00:00Z" for number in range(30)]


def csv(header: str, at: list[str] = AT, rest: str = "{n}") -> bytes:
    lines = [f"e{n},u{n % 5},{time},{rest.format(n=n)}\n" for n, time in enumerate(at)]
    return f"{header}\n{''.join(lines)}".encode()


PLAIN = csv("id,user,at,v")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with patch.dict(os.environ):
        CliRunner().invoke(root, ["init", "shop", "--template", "blank"], catch_exceptions=False)
        os.chdir("shop")
        yield tmp_path / "shop"


def new(*arguments: str) -> Result:
    """Standard input is no terminal; errors that have a sentence are told as ``main`` tells them."""
    done = CliRunner().invoke(root, ["new", *arguments], input="")
    if isinstance(done.exception, SeqplatError):
        done.output_bytes += f"error: {done.exception}".encode()
    elif done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def made(project: Path) -> tuple[Source, EventType]:
    found = discover(str(project / "definitions"))
    assert (found.errors, analyse(Project(found.definitions, {"declarative": "0" * 16}))) == ((), [])
    (source,) = (each for each in found.definitions if isinstance(each, Source))
    (event_type,) = (each for each in found.definitions if isinstance(each, EventType))
    return source, event_type


@pytest.mark.parametrize(
    ("name", "content", "time", "user", "key"),
    [
        ("a.csv", PLAIN, "at", "user", ("id",)),
        ("a.csv.gz", gzip.compress(PLAIN), "at", "user", ("id",)),
        ("a.zst", zstandard.compress(PLAIN), "at", "user", ("id",)),
        ("bom.csv", b"\xef\xbb\xbf" + PLAIN, "at", "user", ("id",)),
        ("wide.csv", PLAIN.decode().encode("utf-16"), "at", "user", ("id",)),
        ("cr.csv", PLAIN.replace(b"\n", b"\r\n"), "at", "user", ("id",)),
        ("tab.tsv", PLAIN.replace(b",", b"\t"), "at", "user", ("id",)),
        ("odd.csv", csv("id,$user id,event.time,%"), "event_time", "user_id", ("id",)),
        ("taken.csv", csv("event_id,user_id,event_time,op"), "event_time", "user_id", ("event_id_value",)),
        ("words.csv", csv("order,user,time,select"), "time", "user", ("order",)),
        ("twice.csv", csv("id,user,at,user"), "at", "user", ("id",)),
        ("class.csv", PLAIN, "at", "user", ("id",)),
        ("lines.csv", csv("id,user,at,text", rest='"a ""b""\n{n}, two"'), "at", "user", ("id",)),
        ("none.csv", csv("grade,user,at,v").replace(b"\ne", b"\n0."), "at", "user", ("at", "v")),
        ("s.csv", csv("id,user,at,v", [str(1795273691 + n) for n in range(30)]), "at", "user", ("id",)),
        ("ms.csv", csv("id,user,at,v", [str(1795273691000 + n) for n in range(30)]), "at", "user", ("id",)),
        (
            "f.csv",
            csv("id,user,at,v", [f"{1795273691 + n}.125" for n in range(30)]),
            "CAST(at * 1000000 AS BIGINT)",
            "user",
            ("id",),
        ),
        (
            "de.csv",
            csv("Bestellung Nr;Kunde;Zeit;Größe", [f"2{n % 8}.11.2026 10:00" for n in range(30)])
            .decode()
            .replace(",", ";")
            .encode("cp1252"),
            "STRPTIME(zeit, '%d.%m.%Y %H:%M')",
            "kunde",
            ("bestellung_nr",),
        ),
        (
            "nested.jsonl",
            b"".join(
                json.dumps({"messageId": f"e{n}", "context": {"userId": f"u{n % 3}"}, "timestamp": at}).encode() + b"\n"
                for n, at in enumerate(AT)
            ),
            "timestamp",
            "user_id",
            ("message_id",),
        ),
    ],
)
def test_what_rows_say_is_seen(
    project: Path, name: str, content: bytes, time: str, user: str, key: tuple[str, ...]
) -> None:
    (project.parent / name).write_bytes(content)
    done = new("event-type", "--from", f"../{name}")
    assert done.exit_code == 0, done.output
    source, event_type = made(project)
    assert source.event_time is not None
    assert (source.event_time.sql.replace('"', ""), source.user_id) == (time, user)
    assert (event_type.natural_key or (event_type.id_field,)) == key
    assert source.start is not None
    assert source.end is not None
    assert dt.date(2026, 11, 20) <= source.start < source.end <= dt.date(2026, 11, 28)
    assert "30 events from 30 rows" in done.output
    assert "next: seqplat apply" in done.output
    assert (project / "data" / name).read_bytes() == content


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.csv", b"", "holds nothing"),
        ("white.csv", b"\xef\xbb\xbf \n\n", "holds nothing"),
        ("header.csv", b"id,user,at\n", "a header and no rows"),
        ("bare.csv", PLAIN.partition(b"\n")[2], "seems to have no header"),
        ("excel.csv", b"PK\x03\x04abcd", "zip"),
        ("bytes.csv", bytes(range(256)) * 20, "is binary"),
        ("page.csv", b"<html></html>", "HTML"),
        ("array.json", b'[{"a": 1}]', "jq -c '.[]'"),
        ("pretty.json", b'{\n "a": 1\n}\n', "over several lines"),
        ("cut.csv.gz", gzip.compress(PLAIN)[:-20], "cannot be unpacked"),
        ("marked.csv", PLAIN.decode().encode("utf-16-le"), "without a byte order mark"),
        ("one.csv", b"thing\n" + b"x\n" * 20, "no column that says when"),
        ("never.csv", csv("id,user,thing,v", ["abc"] * 30), "no column that says when"),
        ("whose.csv", csv("id,foo,at,v"), "say --user COLUMN: id (30 distinct"),
        ("future.csv", csv("id,user,at,v", ["2028-01-01T00:00:00Z"] * 30), "is more than 24 h after its receipt"),
        ("broken.parquet", b"PAR1" + bytes(100), "is damaged"),
    ],
)
def test_what_nothing_can_be_made_of_is_said_and_nothing_written(
    project: Path, name: str, content: bytes, says: str
) -> None:
    (project.parent / name).write_bytes(content)
    done = new("event-type", "--from", f"../{name}", "--yes")
    assert done.exit_code != 0
    assert says in done.output
    assert [path.name for path in (project / "definitions").iterdir()] == ["team.py"]
    assert list((project / "data").iterdir()) == []


def test_every_question_has_a_flag(project: Path) -> None:
    rows = "".join(f"r{n},{n % 4},0{1 + n % 8}/0{1 + n % 9}/2026 10:00,2026-11-01,n\n" for n in range(40))
    (project / "data" / "visits.csv").write_text(f"nr,who,day,shipped_at,mail\n{rows}")
    flags = "--type nr=string --time day --timezone Europe/Berlin --user who --key nr --pii mail --sequence recent"
    form = ("--time-format", "%d/%m/%Y %H:%M", "--start", "2026-01-01")
    done = new("event-type", "visit", "--from", "data/visits.csv", *flags.split(), *form)
    assert done.exit_code == 0, done.output
    source, event_type = made(project)
    assert source.event_time is not None
    assert (source.event_time.sql, source.event_time.timezone) == (
        "STRPTIME(day, '%d/%m/%Y %H:%M')",
        "Europe/Berlin",
    )
    assert (source.location, source.user_id, source.start) == ("visits.csv", "who", dt.date(2026, 1, 1))
    assert [column.name for column in event_type.columns if column.pii] == ["mail"]
    assert event_type.columns[0].dtype == "string"
    again = new("event-type", "visit", "--from", "data/visits.csv", "--user", "who")
    assert "is there already" in again.output
    assert "did you mean who?" in new("event-type", "v2", "--from", "data/visits.csv", "--user", "whos").output


def test_personal_data_is_suspected_and_left_out_of_the_sequence(project: Path) -> None:
    row = "e{n},u{m},2026-11-21,a{n}@x.org,411111111111111{k},10.0.0.{n},+49 170 12345{n}"
    rows = [row.format(n=10 + n, m=n % 3, k=1) for n in range(20)]
    (project / "data" / "x.csv").write_text("id,user,at,a,b,c,d\n" + "\n".join(rows))
    assert new("event-type", "--from", "data/x.csv", "--no-pii", "d").exit_code == 0
    source, _ = made(project)
    assert [column.name for column in source.columns if column.pii] == ["a", "b", "c"]
    assert 'columns=("id", "d")' in (project / "definitions" / "x.py").read_text()


def test_of_a_large_file_three_places_are_looked_at(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last rows are of another month than the first, and one in the middle is refused."""
    monkeypatch.setattr(pieces, "HEAD_BYTES", 20_000)
    monkeypatch.setattr(pieces, "PIECE_BYTES", 5_000)
    monkeypatch.setattr(pieces, "_BLOCK_BYTES", 4_096)
    bad = range(10_100, 11_000, 100)
    lines = [
        f"e{n},u{n % 9},{'soon' if n in bad else f'2026-{10 + n // 10_000:02}-15T10:00:00Z'}\n" for n in range(20_000)
    ]
    (project / "data" / "log.csv").write_text("id,user,at\n" + "".join(lines))
    done = new("event-type", "--from", "data/log.csv")
    assert done.exit_code == 0, done.output
    assert "beginning, middle and end" in done.output
    assert "2026-10-15 .. 2026-11-15" in done.output
    assert " x column at: soon is not timestamp" in done.output
    assert made(project)[0].start == dt.date(2026, 10, 15)


def test_files_of_days_tables_and_parquet(project: Path) -> None:
    frame = pl.DataFrame(
        {
            "id": range(40),
            "user": [f"u{n % 5}" for n in range(40)],
            "at": [dt.datetime(2026, 11, 20) + dt.timedelta(hours=n) for n in range(40)],
            "tags": [["a"]] * 40,
            "deep": [{"x": 1, "y": {"z": "q"}}] * 40,
            "took": [dt.timedelta(1)] * 40,
        }
    )
    (project / "data" / "days").mkdir()
    for day in ("2026-11-20", "2026-11-21"):
        frame.filter(pl.col("at").dt.date() == dt.date.fromisoformat(day)).write_parquet(
            project / "data" / "days" / f"{day}.parquet"
        )
    done = new("event-type", "visits", "--from", "data/days/*.parquet")
    assert done.exit_code == 0, done.output
    source, _ = made(project)
    assert (source.location, source.end) == ("days/{day}.parquet", None)
    assert {column.name: column.field for column in source.columns if column.field} == {"x": "deep.x", "z": "deep.y.z"}
    assert "durations" in done.output
    frame.drop("took").write_delta(str(project / "data" / "table"))
    table = new("source", "table", "--from", "data/table")
    assert table.exit_code == 0, table.output
    assert "40 rows from 40 rows" in table.output


def test_an_enrichment_and_a_sequence_of_what_is_there(project: Path) -> None:
    (project / "data" / "clicks.csv").write_bytes(csv("id,user,at,sku"))
    (project / "data" / "items.csv").write_text(
        "sku,category,price\n" + "".join(f"{n},c{n % 3},{n}.5\n" for n in range(30))
    )
    assert new("event-type", "click", "--from", "data/clicks.csv", "--no-sequence").exit_code == 0
    done = new("enrichment", "item", "--from", "data/items.csv")
    assert done.exit_code == 0, done.output
    assert "key: sku" in done.output
    assert new("sequence", "all_clicks").exit_code == 0
    found = discover(str(project / "definitions"))
    project_now = Project(found.definitions, {"declarative": "0" * 16})
    assert [each.rule for each in analyse(project_now)] == ["SP107"], "the enrichment is attached by hand"
    assert project_now.sequences["all_clicks"].columns == ("id", "sku")


def test_messages_of_a_topic(project: Path) -> None:
    lines = "".join(json.dumps({"id": n, "user": f"u{n % 3}", "ts": 1795273691000 + n}) + "\n" for n in range(30))
    (project / "messages").write_text(lines)
    from seqplat_resources.home import Home
    from seqplat_resources.sources.log.opening import open_log_writer

    writer = open_log_writer(os.environ, Home.from_environment())
    writer.create_topic("clicks", 2)
    writer.append("clicks", [(None, line.encode()) for line in lines.splitlines()])
    writer.close()
    done = new("event-type", "click", "--from", "topic:clicks")
    assert done.exit_code == 0, done.output
    source, _ = made(project)
    assert (source.topic, source.location) == ("clicks", "")
    assert "epoch ms" in done.output
