"""The fault suite: each case is marked with its group, the fault and the promise, and says what happened."""

from collections.abc import Callable
from pathlib import Path

import faults_table
import pytest
from lab import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """The shop, at noon, with the hour before it."""
    made = Lab(tmp_path)
    made.write(-1)
    return made


@pytest.fixture(autouse=True)
def fault(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> None:
    """Say which fault a test is, where the table is written: also to the process that starts workers."""
    mark = request.node.get_closest_marker("fault")
    if mark is not None:
        record_property("fault", list(mark.args))


@pytest.fixture
def happens(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Write what happened into the table of docs/faults.md."""
    return lambda text: record_property("happens", text)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the cases that take minutes: these decide when all are done."""

    def minutes(item: pytest.Item) -> int:
        mark = item.get_closest_marker("minutes")
        return int(mark.args[0]) if mark is not None else 0

    items.sort(key=minutes, reverse=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-faults", action="store_true", help="write docs/faults.md of the cases that were run")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--write-faults", default=False):
        config.pluginmanager.register(faults_table.Writer(config.rootpath / "docs" / "faults.md"))
