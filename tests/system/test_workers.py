"""A miniature run through every service as a real process."""

from collections.abc import Generator

import pytest

from suti.api.pipeline.v1 import pipeline_pb2 as pb
from suti.core.records import Stage
from suti.infra.ledger import Ledger
from tests.system.workers_stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stack]:
    """All services, for all tests of this file."""
    stack = Stack(tmp_path_factory.mktemp("workers"))
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


def test_a_run_goes_from_its_crawl_to_an_apprentice_through_every_service(stack: Stack) -> None:
    run = stack.ended(stack.begin())

    assert run.outcome.state == pb.RUN_STATE_SUCCEEDED, run
    ledger = Ledger(stack.store, run.run_id)
    shards = ledger.get(Stage.GROUPING, 0).counts["shards"]
    assert shards >= 2
    for stage in (Stage.SELECTION, Stage.CAPTIONING, Stage.EXPERTS, Stage.FILTERING):
        assert [commit.shard for commit in ledger.commits(stage)] == list(range(shards))
    assert len(run.outcome.dataset_digest) == len(run.outcome.apprentice_sha256) == 64
