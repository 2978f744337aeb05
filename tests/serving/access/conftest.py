"""A home of two tenants, and homes on both kinds of storage."""

import uuid
from pathlib import Path

import pytest

from seqplat_resources.home import Home
from sequence_defs.compiler.discover import discover
from sequence_defs.schema import Definition, EventType, Sequence, Tenant
from tests.building import runtime_for
from tests.object_server import BUCKET

# Names that occur nowhere else, so that they can be searched for in answers.
OTHER, OTHERS = "zebra_team", "zebra_visits"
OWN, PERSONAL = "household_history", "age"


@pytest.fixture
def shared(home: Path) -> Path:
    """A home where tenant ``grocery`` owns ``household_history``, with personal data, and ``zebra_team`` the rest."""
    return published_for_two(home)


def published_for_two(home: Path, *, owner: str = OTHER) -> Path:
    """Publish to ``home`` that ``zebra_visits`` belongs to ``owner``."""
    found = discover("sequence_defs.definitions.demo").definitions
    runtime_for(home, [Tenant(name=owner, tenant=owner), *(_changed(each, owner) for each in found)])
    return home


def _changed(definition: Definition, owner: str) -> Definition:
    if isinstance(definition, Sequence) and definition.name == OWN:
        return definition.model_copy(update={"columns": (*definition.columns, PERSONAL), "pii": "granted"})
    if isinstance(definition, Sequence):
        return definition.model_copy(update={"name": OTHERS, "tenant": owner})
    if isinstance(definition, EventType):
        return definition.model_copy(update={"shared_with": (owner,)})
    return definition


@pytest.fixture(params=["local", "s3"])
def any_home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """An empty home, once in a folder and once in an object store."""
    if request.param == "local":
        return Home(str(tmp_path / "empty"), {})
    return Home(f"s3://{BUCKET}/{uuid.uuid4().hex}", request.getfixturevalue("object_storage"))
