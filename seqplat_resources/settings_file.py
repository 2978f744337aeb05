"""The settings of a project: ``seqplat.env`` in the working directory, where the environment says nothing else.

Lines of ``NAME=value``, as ``docker run --env-file`` and systemd's ``EnvironmentFile=`` read them too. Paths in it are
relative to the working directory, as those of the environment are.
"""

import re
from collections.abc import MutableMapping
from difflib import get_close_matches
from pathlib import Path

from seqplat_resources.errors import Final

SETTINGS_FILE = "seqplat.env"
# Of a project. Others of ours belong to one process (the API, Kafka) and have names with these beginnings.
PROJECT_SETTINGS = (
    "SEQPLAT_HOME",
    "SEQPLAT_DEFINITIONS",
    "SEQPLAT_SOURCES",
    "SEQPLAT_CHANNEL",
    "SEQPLAT_ONLINE",
    "SEQPLAT_LOG",
    "SEQPLAT_LOG_DIR",
    "SEQPLAT_AUTOMATION",
    "SEQPLAT_STREAMS",
    "SEQPLAT_STREAM_LIFE_S",
    "SEQPLAT_STREAM_RUNS",
    "SEQPLAT_DAYS_PER_RUN",
    "SEQPLAT_SHADOW_SHARE",
    "SEQPLAT_HOUR_PRICE",
    "SEQPLAT_URL",
    "SEQPLAT_LOGGING",
    "SEQPLAT_LOGGING_LEVEL",
    "DAGSTER_HOME",
)
_FAMILIES = ("SEQPLAT_API_", "SEQPLAT_ACCESS_", "SEQPLAT_KAFKA_", "AWS_", "DAGSTER_")
_SECRET = re.compile(r"PASSWORD|SECRET|SIGNING_KEY|SEQPLAT_KEY$|_TOKEN$|SCHEMA_REGISTRY$|ACCESS_KEY_ID$")
_LINE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)")
_MOST_BYTES = 1 << 16


class SettingsFileInvalid(Final):
    """A line of ``seqplat.env`` that says no setting."""


def apply_settings(environment: MutableMapping[str, str], folder: Path) -> None:
    """Add what ``seqplat.env`` of ``folder`` says and ``environment`` does not. Without the file nothing changes.

    Raises:
        SettingsFileInvalid: a line is no setting, or a secret; nothing was added.
    """
    file = folder / SETTINGS_FILE
    if not file.is_file():
        return
    for name, value in _read(file).items():
        environment.setdefault(name, value)


def _read(file: Path) -> dict[str, str]:
    with file.open("rb") as stream:
        data = stream.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise SettingsFileInvalid(f"{file.name} is larger than {_MOST_BYTES} bytes; it holds NAME=value, a line each")
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise SettingsFileInvalid(f"{file.name} is not UTF-8 ({error}); write it again as text") from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            name, value = _setting(f"{file.name}:{number}", line)
            if name in found:
                raise SettingsFileInvalid(f"{file.name}:{number}: {name} is said twice; keep one of the lines")
            found[name] = value
    return found


def _setting(where: str, line: str) -> tuple[str, str]:
    said = _LINE.fullmatch(line.strip())
    if said is None:
        raise SettingsFileInvalid(f"{where}: {line.strip()[:60]!r} is no setting; write NAME=value")
    name, value = said.groups()
    if _SECRET.search(name):
        raise SettingsFileInvalid(
            f"{where}: {name} is a secret, and files are copied and committed; take the line out, and set it in the "
            "environment of the process"
        )
    if name not in PROJECT_SETTINGS and not name.startswith(_FAMILIES):
        near = get_close_matches(name, PROJECT_SETTINGS, n=1)
        guess = f"did you mean {near[0]}?" if near else f"known are {', '.join(PROJECT_SETTINGS)}"
        raise SettingsFileInvalid(f"{where}: {name} is no setting; {guess}")
    if value[:1] in ("'", '"') or value != value.strip() or "\0" in value:
        raise SettingsFileInvalid(f"{where}: write the value of {name} without quotes and spaces around it")
    return name, value
