"""A real single-node Apache Kafka on loopback, from its published jars: for `scripts/kafka` and for tests.

Tests share one (`shared_bootstrap`, the fixture `kafka_bootstrap`); those that kill theirs start a private one.
Needs a Java runtime; the jars are fetched once, by Maven. Standard library only, so that the script runs without the
virtual environment.
"""

import functools
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.ports import free_ports
from tests.shared_servers import NotStarted, Started, started_once

VERSION = "4.3.1"
# Workers of a parallel run inherit an environment without settings of ours; they find it under the second name.
NAMED = os.environ.get("SEQPLAT_KAFKA_BOOTSTRAP") or os.environ.get("TESTS_KAFKA_BOOTSTRAP")
ROOT = Path(__file__).parents[1]
# Jars are shared by every broker of a checkout; KAFKA_JARS names a folder that has them already.
JARS = Path(os.environ.get("KAFKA_JARS") or ROOT / ".kafka" / "lib")
# It is up in about 5 s; after a kill it waits for the session of the dead one to end, and a busy machine is slower.
READY_WITHIN_S = 90.0
USER, PASSWORD = "tester", "only-for-tests"

# Each is a cluster of its own, and nobody compares them.
_CLUSTER = "AAAAAAAAAAAAAAAAAAAAAQ"
# The first compiler only, and no threads that collect garbage.
_BRIEF = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")

_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion><groupId>local</groupId><artifactId>kafka-jars</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"""

_PROPERTIES = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners={listeners},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners={listeners}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,AUTH:SASL_PLAINTEXT
listener.name.auth.sasl.enabled.mechanisms=PLAIN
listener.name.auth.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
  user_{user}="{password}";
controller.listener.names=CONTROLLER
log.dirs={data}
num.partitions=4
auto.create.topics.enable=false
log.message.timestamp.type=LogAppendTime
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=300
broker.session.timeout.ms=2000
"""


class BrokerError(RuntimeError):
    """Something is missing, or the broker did not come up; the message says what and how to mend it."""


def fetch_jars() -> Path:
    """The folder with the jars; they are fetched if it is not there.

    Raises:
        BrokerError: no Maven, or it could not fetch them.
    """
    if JARS.is_dir():
        return JARS
    if not shutil.which("mvn"):
        raise BrokerError(
            f"no jars in {JARS} and no `mvn` to fetch them: apt install maven, or name a folder with them in KAFKA_JARS"
        )
    JARS.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=JARS.parent) as work:
        (Path(work) / "pom.xml").write_text(_POM)
        command = ["mvn", "-q", "-B", "-f", f"{work}/pom.xml", "dependency:copy-dependencies"]
        command += [f"-DoutputDirectory={work}/lib", "-DincludeScope=runtime"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BrokerError(f"Maven could not fetch Kafka {VERSION}:\n{(done.stdout + done.stderr)[-2000:]}")
        with suppress(OSError):  # another run was faster
            os.rename(f"{work}/lib", JARS)
    return JARS


@functools.cache
def why_not() -> str | None:
    """What is missing to start a broker here, jars that can be fetched aside; None if nothing is."""
    if not shutil.which("java"):
        return "Kafka: no `java`, 17 or newer: apt install default-jre-headless maven"
    try:
        fetch_jars()
    except BrokerError as error:
        return f"Kafka: {error}"
    return None


@dataclass
class Broker:
    """One broker with its own folder and port. A stopped or killed one can be started again with its data."""

    folder: Path
    port: int
    controller_port: int
    auth_port: int | None = None
    """Where only USER with PASSWORD is let in."""
    brief: bool = False
    """It starts in half the processor time and never becomes as fast: for tests, not for benchmarks."""
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "broker.log"

    @property
    def _pid_file(self) -> Path:
        return self.folder / "broker.pid"

    def start(self) -> None:
        """Start it unless it runs, and wait until it takes requests.

        It outlives this process.
        Raises:
            BrokerError: something is missing, or it did not come up; the end of its log is in the message.
        """
        if self.pid() is None:
            if missing := why_not():
                raise BrokerError(missing)
            properties = self._format()
            with open(self.log, "ab") as output:
                self.process = subprocess.Popen(
                    [*_java("-Xmx512m", *(_BRIEF if self.brief else ())), "kafka.Kafka", str(properties)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=self.folder,
                    start_new_session=True,
                )
            self._pid_file.write_text(f"{self.process.pid}\n")
        self._wait_until_ready()

    def stop(self) -> bool:
        """End it in order; False if it did not run."""
        return self._end(signal.SIGTERM)

    def kill(self) -> bool:
        """End it as a crash would."""
        return self._end(signal.SIGKILL)

    def pause(self, number: int) -> None:
        """Send it SIGSTOP or SIGCONT, if it runs."""
        if (pid := self.pid()) is not None:
            os.kill(pid, number)

    def pid(self) -> int | None:
        """Of the process that `start` started, if it still runs; another process with its number does not count."""
        if self.process is not None:
            return self.process.pid if self.process.poll() is None else None
        try:
            pid = int(self._pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return pid if str(self._properties) in _command_line(pid) else None

    def is_ready(self) -> bool:
        """True when it lists itself among the live brokers."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                return _live_brokers(connection.makefile("rwb")) > 0
        except (OSError, struct.error):
            return False

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    def _format(self) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        data = self.folder / "data"
        listeners = f"PLAINTEXT://{self.bootstrap}"
        if self.auth_port:
            listeners += f",AUTH://127.0.0.1:{self.auth_port}"
        self._properties.write_text(
            _PROPERTIES.format(
                controller_port=self.controller_port, listeners=listeners, data=data, user=USER, password=PASSWORD
            )
        )
        if not (data / "meta.properties").exists():
            tool = [*_java(*_BRIEF), "kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c", str(self._properties)]
            _run(tool, f"could not format {data}")
        return self._properties

    def _wait_until_ready(self) -> None:
        until = time.monotonic() + READY_WITHIN_S
        while not self.is_ready():
            if self.pid() is None or time.monotonic() > until:
                end = self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""
                raise BrokerError(f"the broker did not come up on port {self.port}; its log ends:\n{end}")
            time.sleep(0.1)

    def _end(self, how: signal.Signals) -> bool:
        pid = self.pid()
        if pid is None:
            return False
        os.kill(pid, how)
        until = time.monotonic() + READY_WITHIN_S
        while self.pid() is not None:
            if time.monotonic() > until:
                raise BrokerError(f"process {pid} does not end; see {self.log}")
            time.sleep(0.05)
        self._pid_file.unlink(missing_ok=True)
        return True


@contextmanager
def private_broker(folder: Path) -> Iterator[Broker]:
    """A broker of one's own on free ports, ready; ended afterwards. Its data stays in the folder."""
    broker = Broker(folder, *free_ports(3), brief=True)
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()  # nobody wants the data of a test; an orderly end takes seconds


def of_checkout() -> Broker:
    """The one that ``scripts/kafka up`` starts, KAFKA_PORT being its port."""
    port = int(os.environ.get("KAFKA_PORT") or 19092)
    return Broker(ROOT / ".kafka" / f"broker-{port}", port, port + 1)


def shared_bootstrap() -> str:
    """Address of the broker that the tests of a run share: SEQPLAT_KAFKA_BOOTSTRAP, that of ``scripts/kafka up``
    if it runs, or one that ends with the run.

    Raises:
        BrokerError: there is none and none can be started.
    """
    found = _shared()
    if isinstance(found, BrokerError):
        raise found
    return found


@functools.cache
def _shared() -> str | BrokerError:
    """Errors are kept as well: who cannot start one now cannot for the next test."""
    if NAMED:
        return NAMED
    running = of_checkout()
    if running.pid() is not None and running.is_ready():
        return running.bootstrap
    if missing := why_not():
        return BrokerError(missing)
    try:
        return started_once("kafka", _started)["bootstrap"]
    except NotStarted as error:
        return BrokerError(f"Kafka: {error}")


def _started(folder: Path) -> Started:
    broker = Broker(folder, *free_ports(3), brief=True)
    try:
        broker.start()
    except BrokerError:
        broker.kill()
        raise
    assert broker.process is not None
    return Started({"bootstrap": broker.bootstrap}, [broker.process])


def _run(command: list[str], failed: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BrokerError(f"{failed}:\n{(done.stdout + done.stderr)[-2000:]}")


def _command_line(pid: int) -> str:
    """Of a process; empty if there is none. Where there is no ``/proc`` there is ``ps``."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
    except OSError:
        if Path("/proc/self").exists():
            return ""
    command = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _java(*options: str) -> list[str]:
    quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
    return ["java", *options, quiet, "-cp", f"{JARS}/*"]


def _live_brokers(stream: IO[bytes]) -> int:
    """Ask for metadata of no topic (Metadata v4) and count the brokers in the answer."""
    request = struct.pack(">hhih", 3, 4, 1, -1) + struct.pack(">i?", 0, False)
    stream.write(struct.pack(">i", len(request)) + request)
    stream.flush()
    return int(struct.unpack(">iiii", stream.read(16))[3])  # size, correlation, throttle, brokers
