"""Bodies that are kept: found by their key alone, within a bound, the oldest out first."""

from serving.answers.cache import BodyCache


def test_the_one_asked_for_longest_ago_leaves_first() -> None:
    kept = BodyCache(10 * (512 + 100))
    for number in range(10):
        kept.put(number, b"x" * 100)
    assert kept.get(0) == b"x" * 100  # asked for, so the next oldest leaves
    kept.put(10, b"y" * 100)
    assert kept.get(1) is None
    assert kept.get(0)
    assert kept.get(10) == b"y" * 100


def test_a_large_one_does_not_push_out_all_others() -> None:
    kept = BodyCache(80_000)
    kept.put("small", b"x")
    kept.put("large", b"x" * 20_000)
    assert kept.get("large") is None
    assert kept.get("small") == b"x"


def test_the_same_twice_counts_once() -> None:
    kept = BodyCache(8 * (512 + 100))
    for _ in range(100):
        kept.put("one", b"x" * 100)
    kept.put("two", b"x" * 100)
    assert kept.get("one")
    assert kept.get("two")
