"""Suggested commands do what they say, whatever ids are made of."""

import shlex
import subprocess

import pytest

from seqplat_resources.commands import command


def test_plain_words_stay_as_they_are() -> None:
    assert command("explain", "recent", "ann", raw="clicks:0@3") == "seqplat explain recent ann --raw clicks:0@3"


@pytest.mark.parametrize("word", ["b;rm -rf x", "$(reboot)", "it's", "a b", "", "*", "ü~1", "#1"])
def test_any_text_is_one_word(word: str) -> None:
    assert shlex.split(command("get", "recent", word), comments=True) == ["seqplat", "get", "recent", word]


def test_an_id_that_looks_like_an_option_is_none() -> None:
    assert command("explain", "recent", "-5", day="2024-05-01") == "seqplat explain --day 2024-05-01 -- recent -5"


@pytest.mark.parametrize("word", ["a\x1b[31mb", "it's\n\\n", "\x01f", "2\u202e5", "-x\t"])
def test_what_a_terminal_would_obey_is_written_in_escapes_that_mean_the_same(word: str) -> None:
    said = command("get", "recent", word)
    assert said.isprintable()
    echoed = said.replace("seqplat get", "printf %s", 1).replace("-- recent", "recent").replace("recent ", "")
    assert subprocess.run(["bash", "-c", echoed], capture_output=True, check=True).stdout.decode() == word
