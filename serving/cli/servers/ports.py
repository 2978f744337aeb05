"""Finding out that a port is taken before a server does, and saying what to do about it."""

import socket

from seqplat_resources.errors import Final


class PortTaken(Final):
    """Somebody else listens there."""


def require_free(host: str, port: int, *, what: str, option: str) -> None:
    """Check that ``what`` can listen on ``port``; servers that share ports would start beside the other one.

    Raises:
        PortTaken: it cannot; the message names ``option``, by which another port is chosen.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do, so that connections of one that just ended do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(
                f"{what} cannot listen on {host}:{port} ({error.strerror}); choose another port with {option} <port>"
            ) from error


def free_port(host: str) -> int:
    """One that nobody listens on now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
