"""The published JSON Schema of releases is the one the code has."""

import json
from pathlib import Path

from sequence_defs.compiler.release import json_schema

PUBLISHED = Path(__file__).parents[2] / "docs" / "release.schema.json"


def test_published_schema_is_current() -> None:
    assert json.loads(PUBLISHED.read_text()) == json_schema(), (
        "releases changed shape: run `seqplat compile --schema --out docs/release.schema.json`, "
        "and raise FORMAT_VERSION if old releases can no longer be read"
    )
