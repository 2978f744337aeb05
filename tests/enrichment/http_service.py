"""An enrichment service on the loopback interface whose every answer is a function of the test."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Values = list[Any]
Answer = Values | int | bytes | Iterator[bytes]


@dataclass
class Service:
    """``answer`` gets the list ``key`` of a request and returns values, a status, a whole body, or parts of one."""

    answer: Callable[[Values], Answer] = lambda keys: [{"score": key["item"] / 2} for key in keys]
    url: str = ""
    requests: list[Values] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    key: str = "keys"
    most_at_once: int = 0
    # Set when the test is over, so that a request which hangs does not outlive it.
    over: threading.Event = field(default_factory=threading.Event)
    _at_once: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def hang(self, keys: Values) -> Values:
        self.over.wait(30)
        return []

    def trickle(self, keys: Values) -> Iterator[bytes]:
        while not self.over.wait(0.02):
            yield b" "

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["content-length"])))
        keys = body[self.key]
        with self._lock:
            self.bodies.append(body)
            self.requests.append(keys)
            self.headers.append(dict(handler.headers))
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            found = self.answer(keys)
        finally:
            with self._lock:
                self._at_once -= 1
        if isinstance(found, Iterator):
            handler.send_response(200)
            handler.send_header("content-length", "1000000")
            handler.end_headers()
            for part in found:
                handler.wfile.write(part)
            return
        said = found if isinstance(found, bytes) else json.dumps({"values": found}).encode()
        handler.send_response(found if isinstance(found, int) else 200)
        handler.send_header("content-length", str(len(said)))
        handler.send_header("location", "/elsewhere")
        handler.end_headers()
        handler.wfile.write(said)


@contextmanager
def serving() -> Iterator[Service]:
    """A running service, stopped at the end."""
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            with suppress(BrokenPipeError, ConnectionResetError):  # the client gave up: some tests are about that
                service._handle(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service.url = f"http://127.0.0.1:{server.server_port}/score"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield service
    finally:
        service.over.set()
        server.shutdown()
        thread.join()
        server.server_close()
