"""Who read which sequence lately is kept in the home, whatever the access log does with its lines."""

import datetime as dt
import json
from pathlib import Path

import msgspec

from seqplat_resources.home import Home
from serving.access.audit.log import Line
from serving.access.audit.readers import Readers, readers_of, registry_of
from tests.building import utc

NOW = utc(2024, 5, 20, 12)


def asked(
    at: dt.datetime, key: str, sequence: str = "basket", *, status: int = 200, columns: tuple[str, ...] = ()
) -> Line:
    said = {"request_id": "1", "method": "GET", "tenant": "shop", "columns": columns}
    return Line(at=at.timestamp(), key=key, sequence=sequence, status=status, **said)  # type: ignore[arg-type]


def test_readers_of_the_last_two_weeks_are_told_and_older_ones_forgotten(tmp_path: Path) -> None:
    home = Home(str(tmp_path), {})
    assert readers_of(home, ["basket"], NOW) is None
    old, lately = Readers(home), Readers(home)
    old.saw([asked(utc(2024, 4, 10), "ancient"), asked(utc(2024, 5, 1), "old")])
    old.close()
    lately.saw(
        [
            asked(utc(2024, 5, 19), "ours", columns=("item",)),
            asked(utc(2024, 5, 20), "ours", columns=("price",)),
            asked(utc(2024, 5, 20), "refused", status=403),
            asked(utc(2024, 5, 20), "ours", "other"),
        ]
    )
    lately.close()
    (found,) = readers_of(home, ["basket"], NOW) or ()
    assert (found.key, found.tenant, found.at) == ("ours", "shop", "2024-05-20T00:00:00+00:00")
    assert found.columns == ("item", "price")
    assert {path.parent.name for path in tmp_path.rglob("*.json")} == {"2024-05-01", "2024-05-19", "2024-05-20"}
    assert readers_of(home, ["nobody"], NOW) == ()
    registry = registry_of(home, NOW)
    assert (registry("basket"), registry("nobody")) == ((found,), ())
    assert registry_of(home, utc(2024, 5, 14))("nobody") is None  # readers are not counted for two weeks yet


def test_how_much_a_reader_asks_for_is_the_most_of_all_requests_and_processes(tmp_path: Path) -> None:
    home = Home(str(tmp_path), {})
    for lines in (((10, 3), (20, 2)), ((5, 7),)):  # the second process has the number of the first, as in a container
        one = Readers(home)
        one.saw([msgspec.structs.replace(asked(NOW, "ours"), limit=limit, days=days) for limit, days in lines])
        one.close()
    (found,) = readers_of(home, ["basket"], NOW) or ()
    assert (found.events, found.days) == (20, 7)
    one = Readers(home)
    one.saw([msgspec.structs.replace(asked(NOW, "ours"), limit=None, days=1)])
    one.close()
    (found,) = readers_of(home, ["basket"], NOW) or ()
    assert (found.events, found.days) == (None, 7)
    (path, *_) = sorted(tmp_path.rglob("*.json"))
    said = json.loads(path.read_text())
    path.write_text(json.dumps([{key: each[key] for key in each if key not in ("events", "days")} for each in said]))
    (found,) = readers_of(home, ["basket"], NOW) or ()
    assert (found.events, found.days) == (None, None)  # a record of an earlier version says nothing of it


def test_more_columns_than_a_record_keeps_are_all_of_them(tmp_path: Path) -> None:
    home, many = Home(str(tmp_path), {}), Readers(Home(str(tmp_path), {}))
    many.saw([asked(NOW, "ours", columns=tuple(f"c{n}" for n in range(300))), asked(NOW, "ours", columns=("late",))])
    many.close()
    (found,) = readers_of(home, ["basket"], NOW) or ()
    assert found.reads("late")


def test_a_damaged_record_says_nothing_and_a_home_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    home = Home(str(tmp_path), {})
    readers = Readers(home)
    readers.saw([asked(NOW, "ours")])
    readers.close()
    (path,) = tmp_path.rglob("*.json")
    path.write_text('[{"sequence": 7')
    assert readers_of(home, ["basket"], NOW) == ()
    (tmp_path / "file").write_text("")
    lost = Readers(Home(str(tmp_path / "file"), {}))
    lost.saw([asked(NOW, "ours")])
