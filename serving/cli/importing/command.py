"""``seqplat import``: a file of drafts, and what is not in it.

>>> from click.testing import CliRunner
>>> CliRunner().invoke(import_, ["tecton", "features.py"]).output.splitlines()[-1]
"Error: Invalid value for '{feast|chronon}': 'tecton' is not one of 'feast', 'chronon'."
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from seqplat_resources.commands import command
from seqplat_resources.engine.registry import digests
from seqplat_resources.whole_files import written_whole
from sequence_defs.analysis.runner import analyse, load_findings
from sequence_defs.compiler.discover import discover
from sequence_defs.compiler.project import Project
from serving.cli.importing import chronon, feast
from serving.cli.importing.draft import Draft, NotImported, name_of, text
from serving.cli.output import console, quoted, suggest

_MOST_FILES = 2_000


@click.command("import")
@click.argument("platform", type=click.Choice(["feast", "chronon"]))
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("imported.py"), show_default=True)
@click.option("--tenant", default="imported", show_default=True, help="Whose the definitions are.")
@click.option("--owner", default="", help="team:<name> or an e-mail address; team:<tenant> if not given.")
def import_(platform: str, path: Path, out: Path, tenant: str, owner: str) -> None:
    """Draft definitions from those of another platform at PATH, a file or a folder, and say what was not taken over.

    feast: feature views in Python (read, not run), or the JSON of `feast registry-dump`. chronon: compiled GroupBys.
    What is a choice of yours is marked TODO; the drafts pass `seqplat check`.
    """
    if out.exists():
        raise NotImported(f"{out} is there, and nothing is written over; take another name with --out")
    draft = Draft()
    owned = {"tenant": name_of(tenant), "owner": owner or f"team:{name_of(tenant)}"}
    draft.add("Tenant", owned["tenant"], {**owned, "description": f"Definitions that came from {platform.title()}."})
    draft, refused = _drafted(list(_files(path, platform)), platform, draft, owned)
    left_out = f"{len(refused)} file(s) left out" if refused else ""
    if len(draft.definitions) == 1:
        _tell(draft, refused)
        raise NotImported(
            f"nothing that can be taken over was found in {path}{left_out and ', ' + left_out}; {_LOOKED_FOR[platform]}"
        )
    _write(out, draft.page(f"Drafts from {platform.title()} definitions in {text(path.name)[1:-1]}."))
    found = discover(str(out))
    findings = [*load_findings(found.errors), *analyse(Project(found.definitions, digests()))]
    errors = [each for each in findings if each.severity == "error"]
    _tell(draft, refused)
    counts = [f"{len(found.definitions)} definitions", f"{len(draft.notes)} note(s)", *filter(None, [left_out])]
    console.print(f"[green]wrote[/green] {quoted(out)}: {', '.join(counts)}")
    for each in errors:
        console.print(str(each), style="yellow", markup=False)
    suggest(command("check", definitions=str(out)))


_LOOKED_FOR = {
    "feast": "looked for were FeatureView(...) in *.py, and *.json of `feast registry-dump`",
    "chronon": "looked for were compiled GroupBys, as compile.py writes them below production/group_bys",
}


def _drafted(
    files: list[Path], platform: str, draft: Draft, owned: Mapping[str, str]
) -> tuple[Draft, list[NotImported]]:
    """What the files add to the draft. One that cannot be read costs itself alone, and adds nothing.

    Raises:
        NotImported: there is only one, and it cannot be read.
    """
    refused = list[NotImported]()
    for file in files:
        tried = draft.copy()
        try:
            _add(file, platform, tried, owned)
        except NotImported as error:
            if len(files) == 1:
                raise
            refused.append(error)
        else:
            draft = tried
    return draft, refused


def _add(file: Path, platform: str, draft: Draft, owned: Mapping[str, str]) -> None:
    data = _read(file)
    if platform == "chronon":
        chronon.of_compiled(data, str(file), draft, owned)
    elif file.suffix == ".json":
        feast.of_registry(data, str(file), draft, owned)
    else:
        feast.of_code(data, str(file), draft, owned)


def _tell(draft: Draft, refused: list[NotImported]) -> None:
    for each in refused:
        console.print(f"[yellow]left out[/yellow] {quoted(each)}", soft_wrap=True)
    for note in draft.notes:
        console.print(f"[yellow]not taken over[/yellow] {quoted(note)}", soft_wrap=True)


def _files(path: Path, platform: str) -> Iterator[Path]:
    """
    Raises:
        NotImported: there is nothing, or too much.
    """
    if not path.exists():
        raise NotImported(f"{path} is not there")
    if path.is_file():
        if platform == "feast" and path.suffix == ".db":
            raise NotImported(f"{path} is a registry of its own format; run `feast registry-dump > registry.json`")
        yield path
        return
    found = sorted(each for each in path.rglob("*") if each.is_file() and ".git" not in each.parts)
    wanted = [each for each in found if each.suffix in (".py", ".json")] if platform == "feast" else found
    if platform == "chronon":
        wanted = [each for each in found if each.suffix in ("", ".json") and not each.name.startswith(".")]
    if len(wanted) > _MOST_FILES:
        raise NotImported(f"{path} has {len(wanted)} files; name the folder of the definitions")
    yield from wanted


def _read(file: Path) -> bytes:
    """
    Raises:
        NotImported: it is not ours to read, or gone.
    """
    try:
        with file.open("rb") as stream:
            return stream.read(chronon.MOST_BYTES + 1)
    except OSError as error:
        raise NotImported(f"{file} cannot be read ({error.strerror}); give this user the right to it") from error


def _write(out: Path, page: str) -> None:
    """
    Raises:
        NotImported: no file can be made there.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(out) as draft:
            Path(draft).write_text(page, "utf-8")
    except OSError as error:
        raise NotImported(f"{out} cannot be written ({error.strerror}); say another file with --out") from error
