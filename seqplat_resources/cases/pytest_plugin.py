"""The fixture ``definitions``: in a ``conftest.py``, ``pytest_plugins = ["seqplat_resources.cases.pytest_plugin"]``.

Named there and not by an entry point: pytest would load it, and rewrite the asserts of all of the platform, in every
run of an environment that has it installed.
"""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from seqplat_resources.cases.definitions import ProjectDefinitions


@pytest.fixture(scope="session")
def definitions(pytestconfig: pytest.Config) -> "ProjectDefinitions":
    """The project's definitions, compiled once."""
    from seqplat_resources.cases.definitions import ProjectDefinitions  # noqa: PLC0415  (they take a second)

    return ProjectDefinitions.of(pytestconfig.rootpath)
