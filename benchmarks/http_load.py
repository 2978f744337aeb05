"""The load generator as a process of its own, and a server that does nothing, to see what the generator can do.

`wrk` finds peaks where it is installed, this one otherwise; a paced load is always this one's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

from benchmarks import http_generator, http_requests


class _Nothing(asyncio.Protocol):
    """A server that does nothing but answer: what the generator itself can do."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert isinstance(self._transport, asyncio.Transport)
        self._transport.write(self._answer * data.count(b"\r\n\r\n"))


async def _serve_nothing(port: int, size: int) -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (size, b"x" * size)
    server = await asyncio.get_running_loop().create_server(lambda: _Nothing(answer), "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("paced", "closed", "serve-nothing"):
        command = commands.add_parser(name)
        command.add_argument("--port", type=int, required=True)
        if name == "serve-nothing":
            command.add_argument("--bytes", type=int, default=20_000, help="of an answer's body")
            continue
        command.add_argument("--requests", type=Path, required=True)
        command.add_argument("--seconds", type=float, required=True)
        command.add_argument("--connections", type=int, default=http_generator.CONNECTIONS)
        command.add_argument("--samples", type=Path, help="where every request's times go, as .npz")
        if name == "paced":
            command.add_argument("--rate", type=float, required=True)
    options = parser.parse_args()
    if options.command == "serve-nothing":
        asyncio.run(_serve_nothing(options.port, options.bytes))
        return
    requests = http_requests.read(options.requests)
    if options.command == "paced":
        due_s = http_generator.poisson(options.rate, options.seconds)
        found = http_generator.paced(options.port, requests, due_s, options.connections)
    else:
        found = http_generator.closed(options.port, requests, options.connections, options.seconds)
    if options.samples is not None:
        found.save(options.samples)
    print(json.dumps(found.summary))


if __name__ == "__main__":
    main()
