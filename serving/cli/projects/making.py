"""Definitions from what was decided: shown by what the engine makes of them, checked beside the others, written."""

import datetime as dt
import math
import sys
from collections.abc import Sequence as Many
from dataclasses import dataclass, replace

import click

from seqplat_resources.cases.snapshot import Snapped, case_text, named_by, updated
from seqplat_resources.cases.trial import Trial
from seqplat_resources.cases.verdict import shown_rows
from seqplat_resources.clock import Clock
from seqplat_resources.commands import command
from seqplat_resources.sampling.preview import Preview, previewed
from seqplat_resources.sampling.profile import Profile
from seqplat_resources.sampling.proposal import Proposal, sample_rows
from seqplat_resources.sampling.python_text import module_of
from sequence_defs.compiler.project import event_columns
from sequence_defs.schema import Definition, EventType, Sequence, Source
from serving.cli.output import console, suggest
from serving.cli.projects.asking import Asker
from serving.cli.projects.deciding import SaidByFlags, events_proposal, moment_of, owner_of, personal_columns
from serving.cli.projects.look import USUAL_REFUSED, show_preview
from serving.cli.projects.place import NotWritten, Place, shown_path

_CASES = "# Rows in, events out, by the engine itself: seqplat test. --update writes what comes out.\n"
# Of a sample: with more, its columns were taken for what they are not. And what a day of few rows needs.
_MOST_REFUSED, _LEAST_SHARE = 0.5, 0.1
_VALID_FROM = ("valid_from", "from", "since", "effective", "effective_from", "starts_at", "updated_at")


@dataclass(frozen=True)
class Making:
    """What one run of ``seqplat new`` knows before it decides."""

    place: Place
    asker: Asker
    clock: Clock
    said: SaidByFlags
    profile: Profile
    name: str
    copy: bool | None

    def location(self) -> str:
        return self.place.brought(self.profile.sample, copy=self.copy)[0]

    def write(self, name: str, definitions: list[tuple[str, Definition]], doc: str) -> None:
        """Check and write them, and bring the file they read.

        Raises:
            NotWritten: a file is there already.
        """
        sample = self.profile.sample
        require_sound(self.place, [each for _, each in definitions])
        file = self.place.folder / f"{name}.py"
        if not self.asker.agrees(f"Write {shown_path(file)}?"):
            console.print("nothing was written")
            sys.exit(1)
        to_bring = self.place.brought(sample, copy=self.copy)[1]
        if to_bring is not None:
            self.place.bring(sample, to_bring)
            console.print(f"copied {shown_path(to_bring)}", markup=False, soft_wrap=True)
        self.place.write(f"{name}.py", module_of(doc, definitions))
        console.print(f"[green]wrote[/green] {shown_path(file)}", soft_wrap=True)

    def write_case(
        self, event_type: EventType, source: Source, personal: frozenset[str], numbers: Many[int] = (0, 1)
    ) -> None:
        """A first case: two rows of the sample, by number, without personal data, and what comes of them."""
        required = {column.name for column in source.columns if not column.nullable}
        rows = sample_rows(self.profile, personal, numbers)
        name = f"{event_type.name}.test.yaml"
        if not rows or (self.place.folder / name).exists() or personal & required:
            return
        case = {"name": "rows of the sample", "event_type": event_type.name, "rows": rows}
        others = [
            each for each in self.place.project.all if not (isinstance(each, Source) and each.name == source.name)
        ]
        trial = Trial.of([*others, source, event_type])
        made = trial.events(event_type.name, rows)
        if made.rejects.height and self.profile.written.format != "csv":
            return  # JSON says these rows otherwise than their file does
        events = shown_rows(made.events, trial.columns(event_type.name))
        said = [{name: row[name] for name in named_by(None, row)} for row in events]
        text = f"{_CASES}cases:\n{case_text(case)}"
        self.place.write(name, updated(text, {0: Snapped(said, tuple(made.rejects["reason"]))}))
        console.print(f"[green]wrote[/green] {shown_path(self.place.folder / name)}", soft_wrap=True)


def make_event_type(making: Making, sequence: str | None) -> None:
    """A source, an event type, and a sequence of it unless there shall be none."""
    if sequence is not None and sequence in making.place.project.sequences:
        raise NotWritten(f"sequence {sequence!r} is there already; say another with --sequence, or --no-sequence")
    proposal = _proposal(making)
    source, event_type = proposal.source(), proposal.event_type()
    preview = previewed(making.profile, source, event_type, making.clock)
    _tell(proposal)
    columns = ["user_id", "event_time", *(each.name for each in event_type.columns)]
    show_preview(preview, columns, "events")
    require_some(preview)
    proposal = _with_share(proposal, preview)
    source = proposal.source()
    definitions: list[tuple[str, Definition]] = [(f"{source.name}_source", source), (event_type.name, event_type)]
    if sequence is not None:
        definitions.append((sequence, proposal.sequence(sequence, event_type)))
    making.write(making.name, definitions, f"{proposal.owner.description.rstrip('.')}.")
    making.write_case(event_type, source, proposal.personal)
    _suggest_events(making, preview, event_type.name, sequence)


def _proposal(making: Making) -> Proposal:
    said, profile = making.said, making.profile
    owner = owner_of(said, making.place, making.asker, profile.sample.topic or profile.sample.stem)
    return events_proposal(said, profile, owner, making.name, making.location(), making.asker, making.clock.now())


def make_source(making: Making) -> None:
    """A source; of events where a column says when and another who."""
    profile, said = making.profile, making.said
    if said.time or said.user or (profile.times and profile.likely_users):
        proposal = _proposal(making)
        _tell(proposal)
    else:
        owner = owner_of(said, making.place, making.asker, profile.sample.topic or profile.sample.stem)
        proposal = Proposal(profile, owner, making.name, making.location(), personal=personal_columns(said, profile))
    source = proposal.source()
    preview = previewed(profile, source, None, making.clock)
    show_preview(preview, [each.name for each in source.columns], "rows")
    require_some(preview)
    source = _with_share(proposal, preview).source()
    making.write(making.name, [(source.name, source)], source.description)
    is_of_events = source.event_time is not None and source.user_id is not None
    suggest(command("new", "event-type", "NAME", source=source.name) if is_of_events else "seqplat check")


def make_enrichment(making: Making, valid_from: str | None) -> None:
    """A source of a keyed table, and the enrichment of it."""
    profile, said = making.profile, making.said
    names = [each.name for each in profile.table.attributes]
    given = profile.column(valid_from, "--valid-from") if valid_from is not None else None
    held = given or next((name for name in _VALID_FROM if name in names and profile.readings(name)), None)
    moment = moment_of(SaidByFlags(time=held), profile, making.asker, making.clock.now()) if held else None
    key = _key(making, held)
    owner = owner_of(said, making.place, making.asker, profile.sample.stem)
    location = making.location()
    proposal = Proposal(profile, owner, making.name, location, key=key, personal=personal_columns(said, profile))
    rows = f"{making.name}_rows"
    source = proposal.source().model_copy(update={"name": rows})
    definition = proposal.enrichment(moment)
    console.print(f"key: {', '.join(key)} (--key)\nholds: {f'from {held}' if held else 'as of now'} (--valid-from)")
    preview = previewed(profile, source, None, making.clock)
    show_preview(preview, [*key, *(each.name for each in definition.columns)], "rows")
    require_some(preview)
    making.write(making.name, [(rows, source), (definition.name, definition)], definition.description)
    suggest(
        f"add enrichments=(Enrich(enrichment={definition.name!r}),) to an event type that has {', '.join(key)}, then"
    )
    suggest("seqplat check")


def _key(making: Making, held: str | None) -> tuple[str, ...]:
    """The first column, or the first two, by which rows are told apart; of versions together with their start."""
    profile = making.profile
    names = [each.name for each in profile.table.attributes]
    if making.said.key:
        return tuple(profile.column(name, "--key") for name in making.said.key)
    keys = [n for n in names if profile.dtypes[n] in ("string", "int64", "int32", "int16", "int8") and n != held]
    values = {each.name: each.values for each in profile.table.attributes}
    usable = [name for name in keys if not values[name].null_count()]
    for parts in [[name] for name in usable] + [[a, b] for a in usable[:8] for b in usable[:8] if a < b]:
        columns = [values[name].alias(name) for name in [*parts, *([held] if held else [])]]
        if columns[0].to_frame().hstack(columns[1:]).is_unique().all():
            return tuple(parts)
    answer = making.asker.answer("Which column is the key", "--key A,B", None, usable)
    return tuple(answer.split(","))


def make_sequence(
    place: Place, asker: Asker, said: SaidByFlags, name: str, event_types: Many[str], columns: Many[str], length: int
) -> None:
    """A sequence of event types that are defined.

    Raises:
        NotWritten: there are none, or one that is named is not there.
    """
    owner = owner_of(said, place, asker, name)
    known = {each: made for each, made in place.project.event_types.items() if made.tenant == owner.tenant}
    if missing := [each for each in event_types if each not in place.project.event_types]:
        raise NotWritten(f"--event-types: {missing[0]!r} is not defined; there are {', '.join(known) or 'none'}")
    chosen = tuple(event_types) or tuple(known)
    if not chosen:
        raise NotWritten("no event type is defined; make one first: seqplat new event-type --from FILE")
    taken = tuple(columns) or _common_columns(place, chosen)
    sequence = Sequence(
        name=name,
        tenant=owner.tenant,
        owner=owner.owner,
        description=said.description or f"What a user did: {', '.join(chosen)}; newest first.",
        event_types=chosen,
        columns=taken,
        length=length,
        retention_days=owner.retention_days,
    )
    require_sound(place, [sequence])
    file = place.folder / f"{name}.py"
    if not asker.agrees(f"Write {shown_path(file)}?"):
        sys.exit(1)
    place.write(f"{name}.py", module_of(sequence.description, [(name, sequence)]))
    console.print(
        f"[green]wrote[/green] {shown_path(file)}: {', '.join(chosen)} with {len(taken)} columns", soft_wrap=True
    )
    suggest("seqplat check", "seqplat publish")


def _common_columns(place: Place, event_types: Many[str]) -> tuple[str, ...]:
    """Those that mean one thing wherever they are, without personal data and statuses."""
    found: dict[str, set[tuple[str, str, str]]] = {}
    hidden: set[str] = set()
    for name in event_types:
        for out, column in event_columns(place.project.event_types[name], place.project.enrichments).items():
            found.setdefault(out, set()).add((column.dtype, column.unit, column.model))
            hidden |= {out} if column.pii or out.endswith("__status") else set()
    return tuple(name for name, kinds in found.items() if len(kinds) == 1 and name not in hidden)


def require_sound(place: Place, definitions: Many[Definition]) -> None:
    """Exits where analysis finds an error in them; nothing was written."""
    findings = place.findings(definitions)
    errors = [each for each in findings if each.severity == "error"]
    for each in errors:
        click.secho(f"{each.severity} {each.rule}: {each.message}\n    fix: {each.fix}", fg="red", err=True)
    if errors:
        click.echo("nothing was written; say what is meant by flags, or write the definition by hand", err=True)
        sys.exit(1)


def require_some(preview: Preview) -> None:
    """Exits where hardly a row of the sample can be taken; nothing was written."""
    if not preview.events.height or preview.share > _MOST_REFUSED:
        few = "not one row" if not preview.events.height else "less than half of the rows"
        click.echo(f"{few} of the sample can be taken, so nothing was written; say what is meant by flags", err=True)
        sys.exit(1)


def _with_share(proposal: Proposal, preview: Preview) -> Proposal:
    """What a build may refuse, where rows of the sample are as they will be: a day may well have twice as many."""
    if preview.share <= USUAL_REFUSED:
        return proposal
    share = min(1.0, max(_LEAST_SHARE, math.ceil(preview.share * 200) / 100))
    console.print(
        f"max_rejected_share={share}: with it days are built in spite of that; take it out once the file is mended"
    )
    return replace(proposal, most_rejected=share)


def _tell(proposal: Proposal) -> None:
    moment = proposal.moment
    assert moment is not None
    zone = "" if not moment.is_local else f", {proposal.timezone} (--timezone)"
    lines = [
        f"time: {moment.column}, {moment.describe()} (--time){zone}",
        f"user: {proposal.user} (--user)",
        f"identity: {', '.join(proposal.key)} (--key)",
    ]
    if proposal.personal:
        lines.append(f"personal data: {', '.join(sorted(proposal.personal))} (--pii, --no-pii)")
    ends = f" to {proposal.end - dt.timedelta(days=1)} (--end; leave it out if the file grows)" if proposal.end else ""
    lines.append(f"days: from {proposal.start} (--start){ends}")
    console.print("\n".join(lines), markup=False, soft_wrap=True)


def _suggest_events(making: Making, preview: Preview, name: str, sequence: str | None) -> None:
    days = preview.events["event_time"].dt.date()
    first, last = str(days.min()), str(days.max())
    user = str(preview.events["user_id"][0])
    sample = making.profile.sample
    build = ["seqplat apply   # publishes, and builds what is new"]
    if sample.topic:
        build = ["seqplat publish", f"seqplat stream {name}"]
    elif not sample.is_whole or sample.others:
        build = ["seqplat publish", f"seqplat materialize {first} {last} +events/{name}+   # days of the sample"]
    suggest("seqplat test", *build, *([command("get", sequence, user)] if sequence else []))
