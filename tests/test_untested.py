"""What a run says at its end, and that it ends what it started: by running pytest on small suites."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
# Other plugins take seconds to import; and these runs are no part of the one around them, nor of its folder.
ALONE = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_XDIST_", "TESTS_RUN_"))}
ALONE["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
CONFTEST = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from tests.shared_servers import run_folder
from tests.untested import Untested
run_folder()
def pytest_configure(config):
    config.pluginmanager.register(Untested())
"""

PARALLEL = ("-p", "xdist.plugin", "-n", "2", "--dist", "worksteal")


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = .\n")
    return tmp_path


def run(suite: Path, tests: str, *options: str) -> list[str]:
    (suite / "test_it.py").write_text(f"import pytest\n{tests}")
    done = subprocess.run([*PYTEST, *options], cwd=suite, env=ALONE, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout.strip().splitlines()


WHOLE = "def test_a(): pass\n"
SKIPPED = """
@pytest.mark.parametrize("n", range(3))
def test_b(n): pytest.skip("Kafka: no `java`:\\n  apt install java")
@pytest.mark.skipif(True, reason="Redis: no server")
def test_c(): pass
@pytest.mark.xfail
def test_d(): assert False
"""


def test_reasons_of_skipped_tests_are_the_last_line_after_pytests_own(suite: Path) -> None:
    lines = run(suite, WHOLE + SKIPPED)
    assert lines[-1] == "not tested: Kafka (no `java`: apt install java; 3 test(s)), Redis (no server; 1 test(s))"
    assert "1 passed, 4 skipped, 1 xfailed" in lines[-2]
    assert run(suite, 'pytest.skip("Sun: it is night", allow_module_level=True)')[-1] == (
        "not tested: Sun (it is night; 1 test(s))"
    )


def test_workers_are_counted_together(suite: Path) -> None:
    """Skips of tests and modules, tests that were left out, and one that its worker did not survive."""
    (suite / "test_dark.py").write_text('import pytest\npytest.skip("Sun: it is night", allow_module_level=True)')
    ends = "def test_end():\n  import os\n  os._exit(1)"
    lines = run(suite, WHOLE + SKIPPED + ends, *PARALLEL)
    assert lines[-1] == (
        "not tested: Kafka (no `java`: apt install java; 3 test(s)), Redis (no server; 1 test(s)), "
        "Sun (it is night; 1 test(s)), 1 test(s) that were not reached"
    )
    assert "1 failed, 1 passed, 5 skipped, 1 xfailed" in lines[-2]
    (suite / "test_dark.py").unlink()
    assert run(suite, WHOLE, *PARALLEL)[-1] == "everything was tested"
    assert run(suite, WHOLE + ends, "-k", "test_a", *PARALLEL)[-1] == "everything that was chosen was tested"


def test_everything_is_said_only_of_everything(suite: Path) -> None:
    assert run(suite, WHOLE)[-1] == "everything was tested"
    assert run(suite, WHOLE, "test_it.py")[-1] == "everything that was chosen was tested"
    assert run(suite, WHOLE + "def test_other(): pass", "-k", "other")[-1] == "everything that was chosen was tested"
    assert "tested:" not in run(suite, WHOLE, "--collect-only")[-1]


def test_tests_behind_one_that_stops_the_run_were_not_tested(suite: Path) -> None:
    stopped = "def test_0(): assert False\n" + WHOLE
    assert run(suite, stopped, "-x")[-1].startswith("not tested: 1 test(s) that were not reached")
    assert run(suite, stopped)[-1] == "everything was tested"


ENDLESS = """
import pathlib, subprocess, time, pytest
from tests.shared_servers import Started, run_folder, started_once
def sleeper():
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    with open("pids", "a") as pids:
        pids.write(f"{process.pid} ")
    return process
def start(folder):
    return Started({}, [sleeper()])
@pytest.fixture
def fixture():
    yield
    time.sleep(0.5)
    pathlib.Path("fixture").touch()
def test_a(fixture):
    started_once("sleeper", start)
    forgotten = sleeper()
    pathlib.Path("folder").write_text(str(run_folder()))
    pathlib.Path("started").touch()
    time.sleep(60)
"""
# As shells start commands in the background.
UNINTERRUPTED = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh"]
# From a terminal all processes of a group are told, from elsewhere the first one alone.
TOLD = [
    (signal.SIGTERM, (), os.kill),
    (signal.SIGINT, (), os.kill),
    (signal.SIGHUP, (), os.kill),
    (signal.SIGTERM, PARALLEL, os.kill),
    (signal.SIGINT, PARALLEL, os.killpg),
]


@pytest.mark.parametrize(("number", "options", "tell"), TOLD)
def test_a_run_that_is_told_to_end_ends_what_it_started(
    suite: Path, number: int, options: tuple[str, ...], tell: Callable[[int, int], None]
) -> None:
    (suite / "test_it.py").write_text(ENDLESS)
    with subprocess.Popen(
        [*UNINTERRUPTED, *PYTEST, *options],
        cwd=suite,
        env=ALONE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        end = time.monotonic() + 120
        while not (suite / "started").exists():
            assert time.monotonic() < end
            time.sleep(0.05)
        tell(running.pid, number)
        assert running.stdout is not None
        said = running.stdout.read().strip().splitlines()
    assert (suite / "fixture").exists()
    assert not Path((suite / "folder").read_text()).exists()
    killed = (suite / "pids").read_text().split()
    assert len(killed) == 2
    while any(map(is_running, killed)):  # on a busy machine a killed process waits for its turn to end
        assert time.monotonic() < end
        time.sleep(0.05)
    assert said[-1].startswith("not tested: 1 test(s) that were not reached")


def is_running(pid: str) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True, check=False).stdout
    return state.strip() not in ("", "Z")
