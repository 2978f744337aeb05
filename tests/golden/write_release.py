"""Write ``release_v1.json`` anew: ``python -m tests.golden.write_release``. Only until format 1 is first published."""

import json
from pathlib import Path

from sequence_defs.compiler.discover import discover
from sequence_defs.compiler.lower import lower
from sequence_defs.compiler.project import Project
from sequence_defs.compiler.release import dump, release_id

HERE = Path(__file__).parent

if __name__ == "__main__":
    found = discover(str(HERE / "project.py"))
    data = dump(lower(Project(found.definitions, {"declarative": "0123456789abcdef"})))
    (HERE / "release_v1.json").write_text(json.dumps(json.loads(data), indent=1) + "\n")
    print(f"GOLDEN_ID = {release_id(data)!r}  # in tests/sequence_defs/test_release.py")  # noqa: T201
