"""``seqplat new`` says what it sees of any file, asks nobody who is not there, writes over nothing, and what it writes
is a definition without findings that the engine runs."""

import datetime as dt
import gzip
import io
import json
import os
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from unittest.mock import patch

import polars as pl
import pytest
import zstandard
from click.testing import CliRunner, Result

from seqplat_resources.errors import SeqplatError
from seqplat_resources.home import object_store
from seqplat_resources.sampling import pieces
from sequence_defs.analysis.runner import analyse
from sequence_defs.compiler.discover import discover
from sequence_defs.compiler.project import Project
from sequence_defs.schema import EventType, Source
from serving.cli.main import root
from tests.object_server import BUCKET

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
        ("id.csv", csv("ORCID,user,at,v"), "at", "user", ("orcid",)),
        ("mark.csv", csv("<id>,user,at,v"), "at", "user", ("id",)),
        ("mail.csv", csv("id,email,at,v"), "at", "email", ("id",)),
        ("author.csv", csv("id,author_id,at,user_agent"), "at", "author_id", ("id",)),
        (
            "us.csv",
            csv("id,user,at,v", [f"11/2{n % 8}/2026 3:{n:02} PM" for n in range(30)]),
            "STRPTIME(at, '%m/%d/%Y %I:%M %p')",
            "user",
            ("id",),
        ),
        (
            "short.csv",
            csv("id,user,at,v", [f"11/2{n % 8}/26 15:{n:02}" for n in range(30)]),
            "STRPTIME(at, '%m/%d/%y %H:%M')",
            "user",
            ("id",),
        ),
        (
            "warehouse.csv",
            csv("id,user,at,v", [f"2026-11-2{n % 8} 15:{n:02}:00 UTC" for n in range(30)]),
            "STRPTIME(at, '%Y-%m-%d %H:%M:%S UTC')",
            "user",
            ("id",),
        ),
        (
            "mails.tsv",
            csv("id,user,at,v", [f"Fri; 20 Nov 2026 15:{n:02}:00 GMT" for n in range(30)])
            .replace(b",", b"\t")
            .replace(b";", b","),
            "STRPTIME(at, '%a, %d %b %Y %H:%M:%S GMT')",
            "user",
            ("id",),
        ),
        (
            "excel.csv",
            csv("id,user,at,v", [f"{46346 + n % 8}.5" for n in range(30)]),
            "CAST((at - 25569) * 86400000000 AS BIGINT)",
            "user",
            ("id",),
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
        ("wide32.csv", PLAIN.decode().encode("utf-32"), "is UTF-32: iconv"),
        ("one.csv", b"thing\n" + b"x\n" * 20, "no column that says when"),
        ("never.csv", csv("id,user,thing,v", ["abc"] * 30), "no column that says when"),
        ("whose.csv", csv("id,foo,at,v"), "say --user COLUMN: id (30 distinct"),
        ("future.csv", csv("id,user,at,v", ["2028-01-01T00:00:00Z"] * 30), "is more than 24 h after its receipt"),
        ("broken.parquet", b"PAR1" + bytes(100), "is damaged"),
        ("program.csv", b"\x7fELF\x02\x01\x01" + bytes(4000) + b"\x01\x02\x00" * 500, "is binary"),
        ("zero.csv", PLAIN.replace(b"e1,", b"e\0,"), "a zero byte in it, the first in line 3"),
        ("twice.csv.gz", gzip.compress(gzip.compress(PLAIN)), "packed twice"),
        ("long.csv", b"a,b,c" * 1_000_000, "begins with a line of more than"),
        ("wide.csv", (",".join(f"c{n}" for n in range(6000)) + "\n").encode() * 2, "has 6,000 columns"),
        ("report.csv", b"A report\n\n" + PLAIN, "is line 3 the header? Then leave out what is above it: tail -n +3"),
        ("commas.csv", PLAIN.replace(b"\n", b",\n").replace(b"v,\n", b"v\n"), "once more than the header"),
        ("narrow.csv", PLAIN.replace(b"at,v\n", b"at,v,w\n"), "its first line has 5 field(s)"),
        ("colons.csv", csv("id,user,at,v", ["x"] * 30).replace(b",", b":"), "say what is between them: --delimiter"),
        (
            "old.csv",
            csv("id,user,at,v", ["1970-01-01T00:00:00Z"] * 30),
            "at has times of 1970-01-01 .. 1970-01-01, of which 100% are before 1995",
        ),
        (
            "refused.csv",
            PLAIN.replace(b",u1,", b",,").replace(b",u2,", b",,").replace(b",u3,", b",,"),
            "less than half",
        ),
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


def test_a_link_that_leads_nowhere_is_said(project: Path) -> None:
    (project / "data" / "gone.csv").symlink_to("nowhere")
    done = new("event-type", "--from", "data/gone.csv")
    assert "is a link that leads nowhere" in done.output


def test_json_lines_whose_first_line_is_none_are_json_lines(project: Path) -> None:
    lines = [json.dumps({"id": n, "user": f"u{n % 3}", "at": at}) for n, at in enumerate(AT)]
    (project / "data" / "log.jsonl").write_text("\n".join(["begun", *lines]))
    done = new("event-type", "--from", "data/log.jsonl")
    assert done.exit_code == 0, done.output
    assert made(project)[0].format == "ndjson"


@pytest.mark.parametrize("name", ["ids.csv", "ids.jsonl", "ids.parquet"])
def test_whole_numbers_that_int64_does_not_hold_keep_all_digits(project: Path, name: str) -> None:
    rows = [{"id": n, "user": 2**63 + n % 3, "at": at} for n, at in enumerate(AT)]
    file = project / "data" / name
    if name == "ids.csv":
        file.write_text("id,user,at\n" + "".join(",".join(map(str, row.values())) + "\n" for row in rows))
    elif name == "ids.jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pl.DataFrame(rows, schema_overrides={"user": pl.UInt64}).write_parquet(file)
    done = new("event-type", "ids", "--from", f"data/{name}")
    assert done.exit_code == 0, done.output
    assert "9223372036854775809  2026-11-21" in done.output
    assert "9223372036854775809" in (project / "definitions" / "ids.test.yaml").read_text()


def test_rows_without_a_user_are_refused_and_the_definition_says_how_many_may_be(project: Path) -> None:
    (project / "data" / "x.csv").write_bytes(PLAIN.replace(b"e7,u2,", b"e7,,"))
    done = new("event-type", "--from", "data/x.csv")
    assert done.exit_code == 0, done.output
    assert "max_rejected_share=0.1: with it days are built" in done.output
    assert made(project)[0].max_rejected_share == 0.1


def test_a_column_that_is_mostly_there_is_the_user_before_one_that_is_not(project: Path) -> None:
    rows = [{"id": n, "userId": f"u{n}" if n % 2 else None, "anonymousId": f"a{n % 4}"} for n in range(30)]
    lines = [json.dumps({**row, "at": at}) for row, at in zip(rows, AT, strict=True)]
    (project / "data" / "track.jsonl").write_text("\n".join(lines))
    done = new("event-type", "--from", "data/track.jsonl")
    assert done.exit_code == 0, done.output
    assert made(project)[0].user_id == "anonymous_id"
    assert "it could be user_id" in done.output


def test_a_time_of_day_beside_a_date_is_told(project: Path) -> None:
    text = "id,user,date,hour,v\n" + "".join(f"{n},u{n % 3},2026-11-2{n % 8},0{n % 9}:15:00,1\n" for n in range(30))
    (project / "data" / "x.csv").write_text(text)
    done = new("event-type", "--from", "data/x.csv")
    assert """STRPTIME(date || ' ' || hour, '%Y-%m-%d %H:%M:%S')""" in done.output
    file = project / "definitions" / "x.py"
    said = file.read_text()
    mended = said.replace('Time(sql="date")', """Time(sql="STRPTIME(date || ' ' || hour, '%Y-%m-%d %H:%M:%S')")""")
    file.write_text(
        mended.replace('Column(name="date", dtype="date", nullable=False', 'Column(name="date", dtype="string"', 1)
    )
    tried = CliRunner().invoke(root, ["test"])
    assert "2026-11-20T00:15:00Z" in tried.output, tried.output


def test_fields_that_begin_with_a_space_are_told(project: Path) -> None:
    (project / "data" / "x.csv").write_bytes(PLAIN.replace(b",", b", "))
    assert "begins with a space, which is kept" in new("event-type", "--from", "data/x.csv").output


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
    assert (source.location, source.start, source.end) == ("days/{day}.parquet", dt.date(2026, 11, 20), None)
    tried = CliRunner().invoke(root, ["test"])
    assert "1 passed, 0 failed" in tried.output
    assert {column.name: column.field for column in source.columns if column.field} == {"x": "deep.x", "z": "deep.y.z"}
    assert "durations" in done.output
    frame.drop("took").write_delta(str(project / "data" / "table"))
    table = new("source", "table", "--from", "data/table")
    assert table.exit_code == 0, table.output
    assert "40 rows from 40 rows" in table.output


def test_what_is_suggested_after_a_source_can_be_done(project: Path) -> None:
    (project / "data" / "my orders.csv").write_bytes(csv("id,user,at,sku"))
    (project / "data" / "items.csv").write_text("colour,words\nred,a\nblue,b\n")
    done = new("source", "--from", "data/my orders.csv")
    assert "next: seqplat new event-type NAME --source my_orders" in done.output
    assert new("event-type", "bought", "--source", "my_orders").exit_code == 0
    assert "next: seqplat check" in new("source", "--from", "data/items.csv").output


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


def test_objects_are_samples_too(
    project: Path, object_storage: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in object_storage.items():
        monkeypatch.setenv(name, value)
    folder = f"s3://{BUCKET}/{uuid.uuid4().hex}"
    store = object_store(folder, os.environ)
    for day in (20, 21):
        store.put(f"visits/2026-11-{day}.csv", csv("id,user,at,v", [f"2026-11-{day}T10:{n:02}:00Z" for n in range(30)]))
    rows = {"id": range(30), "user": ["u"] * 30, "at": AT}
    pl.DataFrame(rows).write_parquet(file := io.BytesIO())
    store.put("rows.parquet", file.getvalue())
    assert "there is no object" in new("source", "--from", f"{folder}/none/*.csv").output
    done = new("event-type", "visit", "--from", f"{folder}/visits/*.csv")
    assert done.exit_code == 0, done.output
    source, _ = made(project)
    assert (source.location, source.start) == (f"{folder}/visits/{{day}}.csv", dt.date(2026, 11, 20))
    done = new("source", "rows", "--from", f"{folder}/rows.parquet")
    assert done.exit_code == 0, done.output
    assert f'location="{folder}/rows.parquet"' in (project / "definitions" / "rows.py").read_text()


def test_an_event_type_more_of_a_source_that_is_there(project: Path) -> None:
    (project / "data" / "clicks.csv").write_bytes(csv("id,user,at,kind", rest="cart").replace(b"u1,", b"u1,", 1))
    assert new("event-type", "click", "--from", "data/clicks.csv").exit_code == 0
    for arguments, says in (
        (("--source", "clik"), "did you mean click?"),
        (("--source", "click", "--where", 'kind = "cart"'), "single quotes"),
        (("--source", "click", "--key", "ids"), "did you mean id?"),
        (("--source", "click", "--from", "data/clicks.csv"), "without --from"),
        (("--where", "id = 'e1'", "--from", "data/clicks.csv"), "name that with --source"),
        ((), "Say --from FILE"),
    ):
        assert says in new("event-type", "cart", *arguments).output
    done = new("event-type", "cart", "--source", "click", "--where", "id <> 'e0'", "--columns", "kind")
    assert done.exit_code == 0, done.output
    assert "29 events from 30 rows" in done.output
    found = discover(str(project / "definitions"))
    assert analyse(Project(found.definitions, {"declarative": "0" * 16})) == []
    (cart,) = (each for each in found.definitions if isinstance(each, EventType) and each.name == "cart")
    assert (cart.filter, cart.id_field, [column.name for column in cart.columns]) == (
        "id <> 'e0'",
        "id",
        ["id", "kind"],
    )
    tried = CliRunner().invoke(root, ["test"])
    assert "2 passed, 0 failed" in tried.output
    assert "event_id: e1" in (project / "definitions" / "cart.test.yaml").read_text()


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
