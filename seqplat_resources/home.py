"""Where everything lives: one root (``SEQPLAT_HOME``), local folder or object-store URL, and the paths below it.

An installation has one root; each of its channels has a home for its own data, which is that root or a part below it
(``release.places`` says which). What all channels share is at the root: releases, channels, API keys, the file log.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from obstore.store import LocalStore, ObjectStore, from_url

DEFAULT_HOME = ".seqplat"


@dataclass(frozen=True)
class Home:
    """The root of one installation, or of a channel's part of it.

    ``root`` is an absolute local path or a URL (``s3://bucket/prefix``). Credentials of object stores are read from
    the usual ``AWS_*`` variables of ``environment`` and are never written anywhere. ``above`` is the installation that
    this is a part of; None where it is that itself.
    """

    root: str
    environment: Mapping[str, str]
    above: "Home | None" = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Home":
        """``SEQPLAT_HOME``, or ``.seqplat`` in the working directory."""
        root = environment.get("SEQPLAT_HOME") or DEFAULT_HOME
        return cls(root.rstrip("/") if "://" in root else str(Path(root).absolute()), environment)

    @property
    def installation(self) -> "Home":
        """Where what all channels share lives."""
        return self.above or self

    @property
    def place(self) -> str:
        """The path of this part below the installation; empty where it is that itself."""
        return self.root.removeprefix(self.installation.root).strip("/")

    def part(self, place: str) -> "Home":
        """The home at a place of the installation; the empty one is the installation itself."""
        whole = self.installation
        return Home(f"{whole.root}/{place}", self.environment, whole) if place else whole

    @property
    def is_local(self) -> bool:
        return "://" not in self.root

    @cached_property
    def objects(self) -> ObjectStore:
        """The root as an object store; small documents (releases, channels, leases) go through it."""
        if self.is_local:
            return LocalStore(prefix=self.root, mkdir=True)
        return object_store(self.root, self.environment)

    def uri(self, path: str) -> str:
        """Full path or URL of something below the root."""
        return f"{self.root}/{path}"

    @cached_property
    def storage_options(self) -> dict[str, str]:
        """Options for Delta and Polars; empty for a local root."""
        if self.is_local:
            return {}
        return {key: value for key, value in self.environment.items() if key.startswith(("AWS_", "GOOGLE_", "AZURE_"))}


def object_store(url: str, environment: Mapping[str, str]) -> ObjectStore:
    """The object store behind a URL, with the endpoint and credentials that ``environment`` names."""
    return from_url(url, **_obstore_options(environment))


def _obstore_options(environment: Mapping[str, str]) -> dict[str, Any]:
    """Only what obstore does not read from the process environment in the same words."""
    options: dict[str, Any] = {}
    for variable, option in (
        ("AWS_ENDPOINT_URL", "endpoint"),
        ("AWS_REGION", "region"),
        ("AWS_ACCESS_KEY_ID", "access_key_id"),
        ("AWS_SECRET_ACCESS_KEY", "secret_access_key"),
    ):
        if value := environment.get(variable):
            options[option] = value
    if environment.get("AWS_ALLOW_HTTP", "").lower() == "true":
        options["client_options"] = {"allow_http": True}
    return options
