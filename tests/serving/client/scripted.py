"""A real HTTP server on loopback that answers what a test tells it, one answer after the other."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Reply:
    """``hold_s``: how long to wait before it; ``drip_s``: before each byte of its body; ``status`` 0 breaks the
    connection instead.
    """

    status: int
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    hold_s: float = 0.0
    drip_s: float = 0.0


@dataclass
class Script:
    """``seen`` are the headers of each request, ``connections`` counts those made; the last reply is repeated."""

    url: str
    replies: list[Reply]
    seen: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    connections: int = 0


@contextmanager
def scripted(*replies: Reply) -> Iterator[Script]:
    """Serve until left."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            script.connections += 1

        def do_GET(self) -> None:
            script.seen.append({name.lower(): value for name, value in self.headers.items()})
            script.paths.append(self.path)
            self.rfile.read(int(self.headers.get("content-length", 0)))
            reply = script.replies.pop(0) if len(script.replies) > 1 else script.replies[0]
            over.wait(reply.hold_s)
            if not reply.status:
                self.close_connection = True
                self.connection.close()
                return
            try:
                self._answer(reply)
            except OSError:  # the client has given up
                self.close_connection = True

        def _answer(self, reply: Reply) -> None:
            self.send_response(reply.status)
            for name, value in {**reply.headers, "Content-Length": str(len(reply.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            for part in map(bytes, zip(reply.body, strict=True)) if reply.drip_s else [reply.body]:
                over.wait(reply.drip_s)
                self.wfile.write(part)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Tests read what was seen."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    script = Script(f"http://127.0.0.1:{server.server_address[1]}", list(replies))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield script
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()
