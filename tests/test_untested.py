"""What a run says at its end, and that it ends what it started: by running pytest on small suites."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
# Other plugins take seconds to import.
ALONE = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
CONFTEST = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from tests.untested import Untested
def pytest_configure(config):
    config.pluginmanager.register(Untested())
"""


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


def test_everything_is_said_only_of_everything(suite: Path) -> None:
    assert run(suite, WHOLE)[-1] == "everything was tested"
    assert run(suite, WHOLE, "test_it.py")[-1] == "everything that was chosen was tested"
    assert run(suite, WHOLE + "def test_other(): pass", "-k", "other")[-1] == "everything that was chosen was tested"
    assert "tested:" not in run(suite, WHOLE, "--collect-only")[-1]


def test_tests_behind_one_that_stops_the_run_were_not_tested(suite: Path) -> None:
    stopped = "def test_0(): assert False\n" + WHOLE
    assert run(suite, stopped, "-x")[-1].startswith("not tested: 1 test(s) that were not reached")
    assert run(suite, stopped)[-1] == "everything was tested"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_run_that_is_told_to_end_ends_what_it_started(suite: Path, number: int) -> None:
    (suite / "test_it.py").write_text(f"""
import atexit, os, pathlib, time, pytest
@pytest.fixture
def server():
    yield
    pathlib.Path("fixture").touch()
def test_a(server):
    atexit.register(pathlib.Path({str(suite / "exit")!r}).touch)
    pathlib.Path("started").touch()
    time.sleep(60)
""")
    with subprocess.Popen(PYTEST, cwd=suite, env=ALONE, stdout=subprocess.PIPE, text=True) as running:
        end = time.monotonic() + 60
        while not (suite / "started").exists():
            assert time.monotonic() < end
            time.sleep(0.05)
        os.kill(running.pid, number)
        assert running.stdout is not None
        said = running.stdout.read().strip().splitlines()
    assert (suite / "fixture").exists()
    assert (suite / "exit").exists()
    assert said[-1].startswith("not tested: 1 test(s) that were not reached")
