"""Where a new definition goes: the project's folder, what is defined there, files of data; nothing is written over."""

import filecmp
import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import click
import httpx

from seqplat_resources.engine.registry import digests
from seqplat_resources.errors import Final
from seqplat_resources.sampling.pieces import Sampled
from sequence_defs.analysis.diagnostics import Diagnostic
from sequence_defs.analysis.runner import analyse
from sequence_defs.compiler.discover import discover
from sequence_defs.compiler.project import Project
from sequence_defs.schema import Definition

# Larger files stay where they are: a definition then says their path.
MOST_COPIED = 64 << 20


class NotWritten(Final):
    """There is no place for a definition, or something is there already."""


@dataclass(frozen=True)
class Place:
    """The folder of definitions and what is in it; ``data`` is where relative locations start."""

    folder: Path
    data: Path
    project: Project

    @classmethod
    def here(cls) -> "Place":
        """Of the settings.

        Raises:
            NotWritten: definitions are in no folder of one's own, or do not load.
        """
        target = os.environ.get("SEQPLAT_DEFINITIONS", "")
        if not target or not Path(target).is_dir():
            said = (
                f"SEQPLAT_DEFINITIONS is {target!r}, which is no folder"
                if target
                else "no folder of definitions is set"
            )
            raise NotWritten(f"{said}; make a project with seqplat init NAME, and run this in it")
        if not (data := os.environ.get("SEQPLAT_SOURCES")):
            raise NotWritten("SEQPLAT_SOURCES is not set, which is where files of sources are; set it, as to data")
        sys.path.insert(0, os.getcwd())
        found = discover(target)
        if found.errors and any("no definition found" not in str(error) for error in found.errors):
            raise NotWritten(f"{found.errors[0].where}: {found.errors[0].message}; mend it first: seqplat check")
        return cls(Path(target), Path(data).absolute(), Project(found.definitions, digests()))

    def tenant(self) -> str | None:
        """The only one there is."""
        return next(iter(self.project.tenants)) if len(self.project.tenants) == 1 else None

    def require_free(self, name: str, kinds: Iterable[str], option: str) -> None:
        """
        Raises:
            NotWritten: a definition of that name and kind, or its file, is there.
        """
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name):
            raise NotWritten(
                f"{name!r} is no name for a definition, which has up to 63 small letters, digits and _ and begins with "
                f"a letter; say another with {option}"
            )
        for kind in kinds:
            known: Mapping[str, Definition] = getattr(self.project, kind)
            if name in known:
                where = known[name].declared_at
                raise NotWritten(
                    f"{kind.replace('_', ' ')[:-1]} {name!r} is there already ({where}); take another {option}"
                )
        if (file := self.folder / f"{name}.py").exists():
            raise NotWritten(f"{file} is there already, and is not written over; take another {option}")

    def findings(self, new: Iterable[Definition]) -> list[Diagnostic]:
        """What analysis says of the new definitions beside those there are, and did not say before."""
        before = {(each.rule, each.message) for each in analyse(self.project)}
        after = analyse(Project((*self.project.all, *new), self.project.executors))
        return [each for each in after if (each.rule, each.message) not in before]

    def write(self, name: str, text: str) -> Path:
        """
        Raises:
            NotWritten: somebody wrote it meanwhile.
        """
        file = self.folder / name
        try:
            with file.open("x", encoding="utf-8") as stream:
                stream.write(text)
        except FileExistsError as error:
            raise NotWritten(f"{file} is there already, and is not written over; take another name") from error
        return file

    def brought(self, sample: Sampled, *, copy: bool | None) -> tuple[str, Path | None]:
        """What a source says to find the sample, and the file below ``data`` that has to be made for that, if any.

        Raises:
            NotWritten: another file of that name is there.
        """
        if sample.topic:
            return "", None
        is_remote = sample.name.startswith(("http://", "https://"))
        outside = os.path.isabs(sample.location)
        if not is_remote and (not outside or copy is False or sample.others or sample.size_bytes > MOST_COPIED):
            return sample.location, None
        if not is_remote and not sample.pieces:
            return sample.location, None
        name = re.sub(r"[^\w.-]", "_", (sample.path or sample.name.partition("?")[0]).rpartition("/")[2]) or "sample"
        file = self.data / name
        if not file.exists():
            return name, file
        if is_remote or not filecmp.cmp(file, sample.path, shallow=False):
            raise NotWritten(f"{file} is there already and is another file; name that one, or move it away")
        return name, None

    def bring(self, sample: Sampled, file: Path) -> None:
        """Copy or download what was sampled.

        Raises:
            NotWritten: it is too large to be kept beside definitions, or does not come.
        """
        file.parent.mkdir(parents=True, exist_ok=True)
        if sample.path:
            shutil.copy(sample.path, file)
            return
        part, size = file.with_name(f".{file.name}.part"), 0
        try:
            with httpx.stream("GET", sample.name, follow_redirects=True, timeout=20) as answer, part.open("wb") as out:
                for block in answer.iter_bytes(1 << 18):
                    size += len(block)
                    if size > MOST_COPIED:
                        raise NotWritten(
                            f"{sample.name} is larger than {MOST_COPIED >> 20} MB; download it to {file} and name that"
                        )
                    out.write(block)
            part.rename(file)
        except httpx.HTTPError as error:
            raise NotWritten(
                f"{sample.name} did not come whole ({error}); download it to {file} and name that"
            ) from error
        finally:
            part.unlink(missing_ok=True)


def shown_path(path: Path) -> str:
    """As one would type it here."""
    return click.format_filename(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
