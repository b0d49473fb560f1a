"""All services as processes, started once for the faults that are done to them."""

from collections.abc import Generator

import pytest

from tests.system.workers_stack import Stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stack]:
    """Everything that does a run, on a small crawl."""
    stack = Stack(tmp_path_factory.mktemp("faults"))
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
