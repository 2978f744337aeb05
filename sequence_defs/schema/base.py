"""What every definition carries: name, tenant, owner, text, stage, and where in the source it was written."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pydantic
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

Stage = Literal["draft", "shadow", "live", "deprecated", "retired"]

NAME_PATTERN = r"^[a-z][a-z0-9_]{0,62}$"
COLUMN_PATTERN = r"^[a-z][a-z0-9_]{0,62}(@[1-9][0-9]*)?$"
# Source columns keep the names their producers gave them; a leading underscore is ours (positions, receipt times).
FIELD_PATTERN = r"^[A-Za-z][A-Za-z0-9_]{0,127}(@[1-9][0-9]*)?$"

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
ColumnName = Annotated[str, Field(pattern=COLUMN_PATTERN)]
FieldName = Annotated[str, Field(pattern=FIELD_PATTERN)]

# Frames of these are machinery, never the line an author wrote.
_MACHINERY = (f"{Path(__file__).parent}{os.sep}", f"{Path(pydantic.__file__).parent}{os.sep}", "<")


class Location(NamedTuple):
    """Where a definition was written."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


UNKNOWN_LOCATION = Location("<release>", 0)


def caller_location() -> Location:
    """First stack frame outside this package and pydantic: the line of the definition being constructed."""
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_MACHINERY):
            return Location(file, frame.f_lineno)
        if frame.f_back is None:
            break
        frame = frame.f_back
    return UNKNOWN_LOCATION


class Part(BaseModel):
    """A value inside a definition: frozen, and without fields its author misspelled."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    _declared_at: Location = PrivateAttr(default=UNKNOWN_LOCATION)

    def model_post_init(self, _context: Any, /) -> None:
        self._declared_at = caller_location()

    @property
    def declared_at(self) -> Location:
        """File and line of the constructor call; not part of the release, so moving a file changes no hash."""
        return self._declared_at


class Definition(Part):
    """One named thing a team owns. ``owner`` is ``team:<name>`` or an e-mail address."""

    name: Name
    tenant: Name
    owner: str = ""
    description: str = ""
    lifecycle: Stage = "live"
    tags: dict[str, str] = Field(default_factory=dict)
