"""Services: where they are, how long they may take, and that nothing secret is written down."""

import ipaddress
from collections.abc import Iterator
from urllib.parse import SplitResult, parse_qsl, urlsplit

from sequence_defs.analysis.diagnostics import Finding, rule
from sequence_defs.analysis.wording import label, listed
from sequence_defs.compiler.project import Project
from sequence_defs.schema import Http, Service

# Below it a request within one data center times out now and then; above it a stream stands still for too long.
MIN_DEADLINE_MS = 5
MAX_DEADLINE_MS = 5_000

_SECRET_WORDS = ("key", "token", "secret", "password", "passwd", "pwd", "auth", "signature", "sig", "credential")


@rule("SP601", "error", "a service has a web address")
def service_address(project: Project) -> Iterator[Finding]:
    """Keys, or users, are sent to it by POST, so it is a complete ``https://`` or ``http://`` URL."""
    for title, service in _services(project):
        if _address(service) is None:
            yield Finding(
                service.declared_at,
                f"url of {title} is not an http(s) address: {_bare_url(service.url)}",
                "write url='https://<host>/<path>'",
            )


@rule("SP602", "error", "a service's URL holds no secret")
def secret_in_url(project: Project) -> Iterator[Finding]:
    """A release is stored, copied and shown; what opens a door is read from the environment of the runtime instead."""
    for title, service in _services(project):
        address = _address(service)
        if address is None:
            continue
        names = [name for name, _ in parse_qsl(address.query, keep_blank_values=True) if _sounds_secret(name)]
        if address.username is not None or names:
            what = "a user" if address.username is not None else f"parameter(s) {listed(names)}"
            yield Finding(
                service.declared_at,
                f"url of {title} holds {what}, which look(s) like a secret",
                "name a variable of the environment that holds it with secret_env='...', and take it out of the URL",
            )


@rule("SP603", "error", "a secret travels encrypted")
def secret_in_the_clear(project: Project) -> Iterator[Finding]:
    """Over plain HTTP everyone on the way can read the header."""
    for title, service in _services(project):
        address = _address(service)
        if service.secret_env and address and address.scheme == "http" and not _is_here(address.hostname or ""):
            yield Finding(
                service.declared_at,
                f"{title} sends the secret in {service.secret_env} over plain HTTP",
                "write url='https://...'",
            )


@rule("SP604", "error", f"a service answers within {MIN_DEADLINE_MS} to {MAX_DEADLINE_MS} ms")
def deadline(project: Project) -> Iterator[Finding]:
    """A stream waits that long for every batch of events while the service is slow."""
    for title, service in _services(project):
        if not MIN_DEADLINE_MS <= service.deadline_ms <= MAX_DEADLINE_MS:
            yield Finding(
                service.declared_at,
                f"{title} has deadline_ms={service.deadline_ms}",
                f"write deadline_ms={_nearest(service.deadline_ms)}; what takes longer "
                "is a table that is computed ahead",
            )


def _nearest(deadline_ms: int) -> int:
    return min(max(deadline_ms, MIN_DEADLINE_MS), MAX_DEADLINE_MS)


def _services(project: Project) -> Iterator[tuple[str, Service | Http]]:
    """What is asked over HTTP, and how findings call it."""
    for enrichment in project.enrichments.values():
        if isinstance(enrichment, Service):
            yield label(enrichment), enrichment
    for sequence in project.sequences.values():
        if sequence.legacy and isinstance(sequence.legacy.at, Http):
            yield f"legacy of {label(sequence)}", sequence.legacy.at


def _address(service: Service | Http) -> SplitResult | None:
    """The parts of its URL, or None where it is not one that can be asked."""
    try:
        parts = urlsplit(service.url)
        is_complete = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return None
    return parts if is_complete and not any(letter.isspace() for letter in service.url) else None


def _bare_url(url: str) -> str:
    """Without what may stand before an @, and without parameters: findings end up in logs."""
    return repr(url.rsplit("@", 1)[-1].split("?", 1)[0])


def _sounds_secret(name: str) -> bool:
    words = name.lower().replace("-", "_").split("_")
    return any(word in words or (len(word) > 4 and word in name.lower()) for word in _SECRET_WORDS) or "apikey" in words


def _is_here(host: str) -> bool:
    """Whether packets to the host do not leave the machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
