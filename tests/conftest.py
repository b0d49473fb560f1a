"""What all tests share: real servers, and the rule that a skip is told, or with SUTI_REQUIRE=all is a failure."""

import os
from collections.abc import Generator

import pytest

from tests.servers.minio import minio_server

__all__ = ["minio_server"]

# As the services and jobs are started. With two threads MKL may split a batch by its rows, and a row's last bit then
# depends on its place: some processors do, some do not. Set before anything imports torch; processes inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

_REQUIRE_ALL = os.environ.get("SUTI_REQUIRE") == "all"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skipped test fails where everything that tests need from outside is promised to be there."""
    report = yield
    if _REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole module that skips itself."""
    report = yield
    if _REQUIRE_ALL and report.skipped:
        _fail(report)
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that start services begin first: the last one would hold up the end alone."""
    items.sort(key=lambda item: item.path.parent.name not in {"system", "faults"})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says how many tests were skipped, also when that is none."""
    count = len(terminalreporter.stats.get("skipped", []))
    terminalreporter.write_line(f"{count} skipped (SUTI_REQUIRE=all makes a skip a failure)")


def _fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"SUTI_REQUIRE=all, but: {reason}"
