"""Sources as logs: where raw rows come from."""

import re
from collections.abc import Iterator

from sequence_defs.analysis.diagnostics import Finding, rule
from sequence_defs.analysis.wording import label
from sequence_defs.compiler.project import Project

# What Kafka takes for a topic's name.
_TOPIC = re.compile(r"^[A-Za-z0-9._-]{1,249}$")


@rule("SP311", "error", "a source has files or a topic")
def no_rows(project: Project) -> Iterator[Finding]:
    """Rows come from somewhere: files, messages of a log, or both."""
    for source in project.sources.values():
        if not source.location and not source.topic:
            yield Finding(
                source.declared_at,
                f"{label(source)} names neither files nor a topic",
                "write location='<path or glob>', topic='<name>', or both",
            )


@rule("SP312", "error", "a topic has a name that logs take")
def topic_name(project: Project) -> Iterator[Finding]:
    """Letters, digits, dot, underscore and hyphen, at most 249 of them."""
    for source in project.sources.values():
        if source.topic and not _TOPIC.match(source.topic):
            yield Finding(
                source.declared_at,
                f"topic {source.topic!r} of {label(source)} is no name that a log takes",
                f"write topic={re.sub(r'[^A-Za-z0-9._-]+', '-', source.topic)[:249]!r}",
            )


@rule("SP313", "error", "a topic carries events")
def topic_without_events(project: Project) -> Iterator[Finding]:
    """A message becomes visible as an event of its user; tables of enrichments are read from files."""
    for source in project.sources.values():
        if source.topic and (source.event_time is None or source.user_id is None):
            yield Finding(
                source.declared_at,
                f"{label(source)} has a topic, but no event_time and user_id",
                "state both, or take the rows from files",
            )


@rule("SP314", "error", "one topic, one source")
def topic_twice(project: Project) -> Iterator[Finding]:
    """A message is decoded once; event types that share a topic share its source."""
    first: dict[str, str] = {}
    for source in project.sources.values():
        if source.topic and first.setdefault(source.topic, source.name) != source.name:
            yield Finding(
                source.declared_at,
                f"topic {source.topic!r} of {label(source)} is already that of source {first[source.topic]!r}",
                f"make the event types from source {first[source.topic]!r}, each with its own filter",
            )


@rule("SP315", "error", "a message format is that of a topic")
def message_format_without_topic(project: Project) -> Iterator[Finding]:
    """`message_format` says how messages are written, and nothing of files."""
    for source in project.sources.values():
        if source.message_format != "json" and not source.topic:
            yield Finding(
                source.declared_at,
                f"{label(source)} says message_format={source.message_format!r}, but it has no topic",
                "write topic='<name>', or drop message_format=",
            )
