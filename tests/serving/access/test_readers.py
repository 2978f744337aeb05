"""Who read which sequence lately is kept in the home, whatever the access log does with its lines."""

import datetime as dt
from pathlib import Path

from seqplat_resources.home import Home
from serving.access.audit.log import Line
from serving.access.audit.readers import Readers, readers_of, unread_in
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
    unread = unread_in(home, NOW)
    assert (unread("basket"), unread("nobody")) == (False, True)
    assert not unread_in(home, utc(2024, 5, 14))("nobody")  # readers are not counted for two weeks yet


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
