"""Definitions under test, for pytest: ``definitions`` is a fixture of ``pytest_plugin``.

>>> row = {"number": 1, "member": "ann", "at": "2024-05-01T09:00:00Z", "product": "tea", "amount": 3}
>>> definitions = ProjectDefinitions(Trial(shop.loaded))
>>> definitions.events("purchase", [row]).events["amount"].to_list()
[3]
>>> definitions.is_deterministic("purchase", [row])
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqplat_resources.cases import laws
from seqplat_resources.cases.trial import CaseNotRun, Rows, Trial, TrialResult
from seqplat_resources.engine.registry import digests
from seqplat_resources.settings_file import apply_settings
from sequence_defs.analysis.runner import analyse, load_findings
from sequence_defs.compiler.discover import discover
from sequence_defs.compiler.project import Project


@dataclass(frozen=True)
class ProjectDefinitions:
    """Those of a folder; rows are mappings, as messages would have them. Enrichments have rows of their sources."""

    trial: Trial

    @classmethod
    def of(cls, folder: Path) -> "ProjectDefinitions":
        """Of the project in a folder: its ``seqplat.env`` says where they are, unless the environment does.

        Raises:
            CaseNotRun: they do not load, or analysis finds an error.
        """
        settings = dict(os.environ)
        apply_settings(settings, folder)
        target = settings.get("SEQPLAT_DEFINITIONS", "definitions")
        return cls(trial_of(str(folder / target) if (folder / target).exists() else target, folder))

    def events(self, event_type: str, rows: Rows, enrichments: Mapping[str, Rows] | None = None) -> TrialResult:
        """What the engine makes of rows: ``events`` and ``rejects`` as frames."""
        return self.trial.events(event_type, rows, enrichments)

    def sequence(self, name: str, user: str, rows: Mapping[str, Rows], **options: Any) -> TrialResult:
        """What a reader of a sequence is answered, newest first; ``rows`` by source."""
        return self.trial.sequence(name, user, rows, **options)

    def is_deterministic(self, event_type: str, rows: Rows) -> None:
        """Fails the test where the same rows give other events the second time."""
        laws.is_deterministic(self.trial, event_type, rows)

    def holds_for_any_split(self, event_type: str, rows: Rows) -> None:
        """Fails the test where batches of other sizes give other events."""
        laws.holds_for_any_split(self.trial, event_type, rows)

    def holds_for_any_order(self, event_type: str, rows: Rows) -> None:
        """Fails the test where rows in another order give other events."""
        laws.holds_for_any_order(self.trial, event_type, rows)


def trial_of(target: str, folder: Path) -> Trial:
    """
    Raises:
        CaseNotRun: definitions do not load, or analysis finds an error.
    """
    sys.path.insert(0, str(folder))  # a package of the project, and modules beside the definitions
    found = discover(target)
    project = Project(found.definitions, digests())
    errors = [each for each in [*load_findings(found.errors), *analyse(project)] if each.severity == "error"]
    if errors:
        raise CaseNotRun(f"{errors[0]}\n{len(errors)} error(s) in the definitions; mend them first: seqplat check")
    return Trial.of(found.definitions)
