"""What the tests share: real maps, built datasets, and random series that are run in part or whole."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from cryodata import compiled
from cryodata.build.dataset import Report, build
from cryodata.build.request import Request

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

SERIES = pytest.StashKey[dict[str, tuple[int, int]]]()
REAL_SKIPPED = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run random series whole, not a seeded tenth of them")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SERIES] = {}
    config.stash[REAL_SKIPPED] = []
    # where the tests run in the background Ctrl-C may be ignored, and so it would be by the processes they start
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--full"):
        for item in items:
            if item.get_closest_marker("full"):
                item.add_marker(pytest.mark.skip(reason="takes long: runs under --full"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real maps; tests that need it are skipped where it is not."""
    if not (SHARED_DATA / "entries.csv").exists():
        pytest.skip("the real maps of ../shared/data are not here")
    return SHARED_DATA


@pytest.fixture
def numpy_alone(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on no loop runs compiled, as where numba is not installed."""
    return lambda: monkeypatch.setattr(compiled, "_installed", lambda: False)


@pytest.fixture(params=["compiled", "numpy"])
def loops(request: pytest.FixtureRequest, numpy_alone: Callable[[], None]) -> str:
    """Both ways in which inner loops run."""
    if request.param == "numpy":
        numpy_alone()
    else:
        assert compiled._installed(), "numba is installed with the development extra"
    return str(request.param)


@pytest.fixture(scope="session")
def series(pytestconfig: pytest.Config) -> Callable[[str, int], list[int]]:
    """Case numbers of a random series: all under --full, else a seeded tenth, always the same."""

    def cases(name: str, total: int) -> list[int]:
        chosen = list(range(total))
        if not pytestconfig.getoption("--full"):
            chosen = sorted(random.Random(name).sample(chosen, max(1, total // 10)))
        pytestconfig.stash[SERIES][name] = (len(chosen), total)
        return chosen

    return cases


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """A small simulated dataset: 4 maps of two chains of 30 residues, 3 for training and 1 for validation."""
    settings = ("maps=4", "residues=60", "resolution=3.5")
    return build(Request("simulated", tmp_path_factory.mktemp("simulated"), version="0.1.0", settings=settings))


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Report:
    """cryo2struct of the real maps, everything at 8 A or better."""
    root = tmp_path_factory.mktemp("real")
    return build(Request("cryo2struct", root, shared_data, version="0.1.0", settings=("max_resolution=8",)))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and "../shared/data" in str(report.longrepr):
        _config.stash[REAL_SKIPPED].append(report.nodeid)


def pytest_sessionstart(session: pytest.Session) -> None:
    global _config
    _config = session.config


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Real maps that are there and were skipped all the same are a failure, not a silence."""
    if session.config.stash[REAL_SKIPPED] and (SHARED_DATA / "entries.csv").exists() and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for name, (ran, total) in sorted(config.stash[SERIES].items()):
        terminalreporter.write_line(f"series '{name}': {ran} of {total} cases ran")


def pytest_unconfigure(config: pytest.Config) -> None:
    if config.stash[REAL_SKIPPED]:
        print(f"The real-map truths did not run: {len(config.stash[REAL_SKIPPED])} tests need ../shared/data")
