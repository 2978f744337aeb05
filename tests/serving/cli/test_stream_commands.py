"""The commands of a streamed source, one after the other as a person types them, over a file log."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from seqplat_resources.batch.builds import events
from seqplat_resources.batch.publish.events import publish
from seqplat_resources.errors import Final
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.stream.trouble import Trouble, Troubles
from sequence_defs.schema import Source
from serving.cli.ask.get import get
from serving.cli.days.late import dirty, ingest, reseal
from serving.cli.main import root
from serving.cli.servers.stream import send, stream
from serving.cli.storage.lake import rejects
from serving.cli.storage.online import epochs, lag
from tests.building import runtime_for, utc
from tests.stream.world import DAYS, DEFINITIONS

Say = Callable[..., str]


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Run a command of an installation whose release has the topic ``clicks``; gives what it printed."""
    for name in ("SEQPLAT_ONLINE", "SEQPLAT_LOG", "SEQPLAT_KAFKA_BOOTSTRAP", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SEQPLAT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SEQPLAT_LOG_DIR", str(tmp_path / "log"))
    runtime_for(tmp_path / "home", DEFINITIONS)

    def run(command, *arguments: object, given: str | None = None) -> str:  # type: ignore[no-untyped-def]
        result = CliRunner().invoke(command, [str(each) for each in arguments], input=given, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    return run


def message(**fields: object) -> str:
    at = "2024-05-01T10:00:00Z"
    return json.dumps({"member": "ann", "at": at, "received": at, "amount": 1} | fields) + "\n"


def test_from_a_message_to_a_bucket_that_is_built_again(say: Say, tmp_path: Path) -> None:
    assert "3 message(s) sent to topic clicks" in say(
        send, "clicks", "-", given=message(click=1, amount=7) + message(click=2, amount=9) + "no json\n"
    )
    assert "3 message(s); 2 click; 1 rejected" in say(stream, "--seconds", 2)
    assert "recent of user ann: 2 newest event(s)" in say(get, "recent", "ann")
    assert "clicks:0" in (shown := say(lag))
    assert "what batch has read stays until every epoch that can be gone back to has it" in shown
    assert "no dirty bucket" in say(dirty)

    runtime = runtime_for(tmp_path / "home", DEFINITIONS)
    store = open_online_store(runtime.home)
    list(events.build(runtime, "click", DAYS[:1]))
    list(publish(runtime, store, "click", DAYS[:1]))
    store.close()

    lost = tmp_path / "lost.ndjson"
    lost.write_text(message(click=3, amount=5))
    assert "imported\n" in "\n".join(line.rstrip() + "\n" for line in say(ingest, "clicks", lost).splitlines())
    assert "imported before" in say(ingest, "clicks", lost)
    assert "1 dirty bucket(s)" in (shown := say(dirty))
    assert "2024-05-01" in shown
    assert "no bucket to build again" in say(reseal)  # it still waits for more of the same
    assert "click 2024-05-01" in say(reseal, "--all")
    assert "no dirty bucket" in say(dirty)
    assert "recent of user ann: 3 newest event(s)" in say(get, "recent", "ann")

    assert "epoch 3 shows what epoch 1 showed" in say(epochs, "click", "--back-to", 1)
    assert "recent of user ann: 2 newest event(s)" in say(get, "recent", "ann")


def test_brackets_in_what_came_in_are_printed_as_they_are(say: Say) -> None:
    say(send, "clicks", "-", given='["[/red]"]\n')
    say(stream, "--seconds", 2)
    assert '["[/red]"]' in say(rejects, "clicks")
    assert "recent of user [/red]: 0 newest event(s)" in say(get, "recent", "[/red]")


def test_lines_of_any_bytes_are_sent_and_refused_by_the_stream_alone(say: Say, tmp_path: Path) -> None:
    """Bytes that are not UTF-8, half a character as user, nesting that Python gives up on: none ends the command."""
    nested = b'{"member":' + b"[" * 100_000
    lines = [b'{"member":"\xff"}', b'{"member":"\\ud800"}', nested, message(click=1, amount=2).encode()]
    (tmp_path / "messages").write_bytes(b"\n".join(lines))
    assert "4 message(s) sent" in say(send, "clicks", tmp_path / "messages", "--partitions", 1)
    assert "4 message(s); 1 click; 3 rejected" in say(stream, "--seconds", 2)


def test_a_source_without_a_topic_cannot_be_streamed_or_sent_to(say: Say, tmp_path: Path) -> None:
    for command in (["stream", "nosuch"], ["send", "nosuch", "-"], ["epochs", "nosuch", "--back-to", "1"]):
        result = CliRunner().invoke(root, command, input="")
        assert result.exit_code != 0
        assert "nosuch" in f"{result.output} {result.exception}"


def test_lag_names_a_source_that_is_not_read_and_shows_the_others(say: Say, tmp_path: Path) -> None:
    source = next(d for d in DEFINITIONS if isinstance(d, Source)).model_copy(
        update={"name": "carts", "topic": "carts"}
    )
    home = runtime_for(tmp_path / "home", (*DEFINITIONS, source)).home
    say(send, "clicks", "-", given='{"member": "ann"}\n')
    trouble = Trouble.of("carts", Final("topic 'carts' is away"), at=utc(2024, 5, 4), wait_s=30.0)
    Troubles(home).put(trouble)
    say(stream, "clicks", "--seconds", 0.5)
    told = " ".join(say(lag).split())
    assert "clicks:0" in told
    assert (
        "carts: not read since 2024-05-04 00:00:00 UTC (1 failure(s), tried again at 00:00:30): topic 'carts' is away"
        in told
    )
    assert "carts: topic 'carts' is not in" in told  # nor can it be asked now
