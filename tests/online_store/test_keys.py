"""Keys sort as readers walk, and no name reaches into another's keys."""

from hypothesis import given
from hypothesis import strategies as st

from seqplat_resources.online_store import keys, versions

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
days, numbers = st.integers(1, 3_652_059), st.integers(0, (1 << 64) - 2)


@given(st.lists(st.tuples(names, names, days, numbers), max_size=20))
def test_block_keys_of_a_user_lie_together_in_order_of_day_and_version(blocks: list[tuple[str, str, int, int]]) -> None:
    stored = {}
    for event_type, user, day, version in blocks:
        name, user_bytes = keys.type_bytes(event_type), keys.user_bytes(user)
        key = keys.block(name, user_bytes, day, version)
        assert (keys.user_of(key, name), keys.day_and_version(key)) == (user_bytes, (day, version))
        stored[key] = (event_type, user, day, version)
    for event_type, user, day, _ in blocks:
        prefix = keys.blocks_of_user(keys.type_bytes(event_type), keys.user_bytes(user))
        found = [stored[key] for key in sorted(stored) if key.startswith(prefix)]
        assert found == sorted(entry for entry in stored.values() if entry[:2] == (event_type, user))
        inside = [key for key in stored if prefix <= key < keys.past(prefix)]
        assert len(inside) == len(found)
        of_day = keys.blocks_of_day(keys.type_bytes(event_type), keys.user_bytes(user), day)
        until = [stored[key][2] for key in stored if prefix <= key < keys.past(of_day)]
        assert sorted(until) == sorted(entry[2] for entry in found if entry[2] <= day)


@given(days, days)
def test_longest_keys_fit_and_days_sort_as_their_text(day: int, other: int) -> None:
    longest = keys.block(keys.type_bytes("t" * keys.MAX_EVENT_TYPE_BYTES), b"u" * keys.MAX_USER_BYTES, day, 1 << 63)
    assert len(longest) <= 511
    assert (keys.iso(day) < keys.iso(other)) == (day < other)
    assert keys.ordinal(keys.iso(day)) == day


def test_superseded_versions_are_those_no_reader_sees() -> None:
    assert versions.visible([7, 3, 5], 6) == 5
    assert versions.visible([7, 3, 5], 2) is None
    assert versions.superseded([1, 3, 5, 7], [4, 6]) == {1, 7}
    assert versions.superseded([1, 3], []) == {1, 3}
    assert versions.superseded([], [4]) == set()
