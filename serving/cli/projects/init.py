"""``seqplat init``: a folder with definitions, sample data, tests and what runs them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from seqplat_resources.commands import command
from seqplat_resources.errors import Final
from serving.cli.output import console, quoted, suggest
from serving.cli.projects.sample import clickstream

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_TOKEN = re.compile(r"@([a-z]+)@")
_TEMPLATES = "serving.cli.projects"
# Names that a build of ours, or git, would take for its own have others in the wheel.
_CODE, _HIDDEN = ".py.txt", "dot-"
_SHOWN = "shown.md"


class ProjectNotMade(Final):
    """A folder that is not free, or a name that is none."""


@dataclass(frozen=True)
class _Template:
    """What to ask for: a ``sequence``, and a ``user`` of its sample."""

    sequence: str = ""
    user: str = ""

    def names(self, project: str) -> dict[str, str]:
        """What ``@names@`` in its files stand for."""
        ask = f"seqplat get {self.sequence} {self.user} --limit 5" if self.sequence else "seqplat releases"
        tenant = project.replace("-", "_")
        found = {"project": project, "tenant": tenant, "ask": ask, "version": version("seqplat")}
        return found | {"sequence": self.sequence, "user": self.user}


_KINDS = {
    "clickstream": _Template("recent_activity", "v001"),
    "retail": _Template("household_history", "378"),
    "blank": _Template(),
}


@click.command()
@click.argument("name")
@click.option("--template", type=click.Choice(list(_KINDS)), default="clickstream", show_default=True)
def init(name: str, template: str) -> None:
    """Make the folder NAME: definitions, sample data, tests, Makefile, CI, Dockerfile. It runs as it is.

    clickstream has visitors who look and buy, retail the groceries of the demo, blank nothing but the team. In the
    folder seqplat finds its settings in seqplat.env.
    """
    folder = Path(name)
    project = _checked_name(folder)
    _require_free(folder)
    written = _write(folder, template, project)
    console.print(f"[green]made[/green] {quoted(name)}: {written} files from the template {template}", soft_wrap=True)
    into = command("x", str(folder)).removeprefix("seqplat x ")
    suggest(f"cd {into} && {'seqplat new event-type --from FILE' if template == 'blank' else 'make'}")


def _checked_name(folder: Path) -> str:
    """
    Raises:
        ProjectNotMade: the last part of the path is no name.
    """
    name = folder.resolve().name
    if not _NAME.fullmatch(name):
        plain = re.sub(r"[^a-z0-9_-]+", "_", name.lower()).strip("_-0123456789")[:63] or "shop"
        raise ProjectNotMade(
            f"{name!r} is no name for a project, which has up to 63 small letters, digits, - and _ and begins with a "
            f"letter; write {command('init', str(folder.parent / plain if name == folder.name else plain))}"
        )
    return name


def _require_free(folder: Path) -> None:
    """
    Raises:
        ProjectNotMade: something is there.
    """
    if (folder.exists() or folder.is_symlink()) and not folder.is_dir():
        raise ProjectNotMade(f"{folder} is there and is no folder; take another name")
    if folder.is_dir() and (found := sorted(path.name for path in folder.iterdir())):
        named = ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
        raise ProjectNotMade(
            f"{folder} is not empty ({named}), and nothing in it is written over; take another name, or empty it"
        )


def _write(folder: Path, template: str, project: str) -> int:
    """
    Raises:
        ProjectNotMade: no folder can be made there.
    """
    names = _KINDS[template].names(project)
    contents = dict(_files(template, names))
    try:
        (folder / "data").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ProjectNotMade(
            f"{folder} cannot be made ({error.strerror}); say a folder that this user may make"
        ) from error
    for path, data in contents.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return len(contents)


def _files(template: str, names: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """Paths in the project and what is in them."""
    root = files(_TEMPLATES) / "templates"
    names = {**names, "shown": _filled((root / template / _SHOWN).read_text("utf-8"), names)}
    for each in (root / "common", root / template):
        for path, found in _below(each):
            if path != _SHOWN:
                yield path, _filled(found.read_text("utf-8"), names).encode()
    if template == "retail":
        yield from _demo(names["tenant"])
    elif template == "clickstream":
        for path, text in clickstream():
            yield f"data/{path}", text.encode()


def _below(folder: Traversable, above: str = "") -> Iterator[tuple[str, Traversable]]:
    for each in sorted(folder.iterdir(), key=lambda found: found.name):
        name = each.name.replace(_HIDDEN, ".", 1) if each.name.startswith(_HIDDEN) else each.name
        if each.is_dir():
            yield from _below(each, f"{above}{name}/")
        else:
            yield above + (name.removesuffix(_CODE) + ".py" if name.endswith(_CODE) else name), each


def _filled(text: str, names: Mapping[str, str]) -> str:
    """With what is known in place of ``@names@``; others, as in ``actions/checkout@v4``, stay."""
    return _TOKEN.sub(lambda found: names.get(found[1], found[0]), text)


def _demo(tenant: str) -> Iterator[tuple[str, bytes]]:
    """The definitions and the data of the demo, as one's own: one copy of them ships."""
    demo = files("sequence_defs.definitions.demo")
    for path, found in _below(demo):
        if path.startswith("data/"):
            yield path, found.read_bytes()
        elif path.endswith(".py") and path != "__init__.py":
            text = found.read_text("utf-8").replace("sequence_defs.definitions.demo.", "definitions.")
            # Whoever keeps days for two years would keep none of them.
            text = text.replace("retention_days=730,", "retention_days=7300,  # the data are of 2017")
            text = text.replace('"grocery"', f'"{tenant}"').replace("team:grocery", f"team:{tenant}")
            yield f"definitions/{path}", text.replace("grocery = Tenant", "team = Tenant").encode()
