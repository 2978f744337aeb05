"""The text of a key."""

import re

import pytest

from serving.access.keys import secret
from serving.access.keys.secret import digest, id_of, matching, new_id, new_text


def test_a_key_says_what_it_is_and_carries_256_bits() -> None:
    key_id = new_id()
    text = new_text(key_id)
    assert re.fullmatch(rf"sp_{key_id}_[A-Za-z0-9]{{43}}", text)
    assert 62**secret.SECRET_LENGTH > 2**256
    assert len({new_text(key_id) for _ in range(100)}) == 100


def test_the_id_is_found_in_the_text() -> None:
    assert id_of(new_text("abcdefghij").encode()) == "abcdefghij"


@pytest.mark.parametrize(
    "text",
    [b"", b"sp_", b"sp_abcdefghij_", b"sp_ABCDEFGHIJ_" + b"a" * 43, b"sp_abcdefghij_" + b"a" * 42, b"\xff" * 57,
     b"sp_abcdefghij_" + b"a" * 43 + b"\n", b"xsp_abcdefghij_" + b"a" * 43],
)  # fmt: skip
def test_what_is_no_key_has_no_id(text: bytes) -> None:
    assert id_of(text) is None


def test_a_digest_belongs_to_one_id() -> None:
    assert digest("sp_abcdefghij_x") != digest("sp_abcdefghik_x")


def test_the_digest_that_matches_is_told() -> None:
    old, new = digest("old"), digest("new")
    assert [matching(each, [new, old]) for each in (new, old, digest("other"))] == [0, 1, None]
    assert matching(digest("new"), []) is None


@pytest.mark.parametrize("known", [0, 1, 2])
def test_every_check_is_two_comparisons(known: int, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    monkeypatch.setattr(secret.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or False)
    matching(digest("presented"), [digest(str(n)) for n in range(known)])
    assert len(compared) == 2
    assert {len(each) for pair in compared for each in pair} == {32}
