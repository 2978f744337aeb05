"""A schema registry over HTTP, as far as readers of messages ask it, which can be told to misbehave."""

import base64
import io
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import fastavro

Reference = dict[str, Any]
USER, PASSWORD = "reader", "s3cr:t/@#"


@dataclass
class RegistryServer:
    """``asked`` holds the paths asked for. ``status`` other than 200 is given to every question; ``body`` too."""

    url: str = ""
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    status: int = 200
    body: bytes | None = None
    hangs: bool = False
    over: threading.Event = field(default_factory=threading.Event)
    needs_password: bool = False

    def add(self, number: int, schema: object, kind: str = "AVRO", references: Sequence[Reference] = ()) -> None:
        answer: dict[str, Any] = {"schema": schema if isinstance(schema, str) else json.dumps(schema)}
        if kind != "AVRO":  # registries leave it out
            answer["schemaType"] = kind
        if references:
            answer["references"] = list(references)
        self.answers[f"/schemas/ids/{number}"] = answer

    def add_version(
        self, subject: str, schema: object, kind: str = "AVRO", references: Sequence[Reference] = ()
    ) -> Reference:
        """A schema to refer to; returns what a reference to it is without its name."""
        self.add(0, schema, kind, references)
        self.answers[f"/subjects/{subject}/versions/1"] = self.answers.pop("/schemas/ids/0")
        return {"subject": subject, "version": 1}

    @property
    def where(self) -> str:
        return self.url.replace("http://", "http://reader:s3cr%3At%2F%40%23@") if self.needs_password else self.url


@contextmanager
def running() -> Iterator[RegistryServer]:
    registry = RegistryServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            registry.asked.append(self.path)
            if registry.hangs:
                registry.over.wait()
                return
            status, answer = registry.status, registry.answers.get(unquote(self.path))
            given = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            if registry.needs_password and self.headers.get("authorization") != f"Basic {given}":
                status = 401
            if status == 200 and answer is None and registry.body is None:
                status, answer = 404, {"error_code": 40403, "message": "Schema not found"}
            body = registry.body if registry.body is not None else json.dumps(answer or {"error_code": status}).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    registry.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield registry
    finally:
        registry.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def framed(number: int, payload: bytes) -> bytes:
    return b"\0" + number.to_bytes(4, "big") + payload


def avro(number: int, schema: Any, record: object) -> bytes:
    written = io.BytesIO()
    fastavro.schemaless_writer(written, fastavro.parse_schema(schema), record)
    return framed(number, written.getvalue())
