"""The clustering service's API, as a process: group a crawl by call, look at its clusters, page by page."""

from collections.abc import Generator
from datetime import UTC, datetime

import pytest

from suti.api.clustering.v1 import clustering_pb2 as pb
from suti.client.blocking import Suti
from suti.client.endpoints import Service
from suti.client.errors import RemoteError
from suti.core import keys
from suti.core.ids import new_request_id, new_run_id
from suti.ml.clusters.recipe import GroupingRecipe
from suti.stages.run_spec import CrawlInput, ModelRef, Models, RunSpec
from tests.system.workers_stack import ENDS_S, Stack, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stack]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUTI_CLUSTERING_STAGES", "grouping")
        with running(tmp_path_factory.mktemp("clustering"), services=(Service.CLUSTERING,)) as stack:
            yield stack


@pytest.fixture
def suti(stack: Stack) -> Generator[Suti]:
    with stack.client() as suti:
        yield suti


def run(stack: Stack, **changes: object) -> str:
    """A run of the stack's crawl that nobody has begun with."""
    spec = RunSpec(
        run_id=new_run_id(),
        created_at=datetime.now(UTC),
        created_by="test",
        input=CrawlInput(url=str(stack.crawl), format="warc"),
        models=Models(base=ModelRef(name="base"), clip=ModelRef(name="clip")),
        grouping=GroupingRecipe(shard_clusters=2, store_side_px=32),
    ).model_copy(update=changes)
    stack.store.put(keys.run_spec(spec.run_id), spec.model_dump_json().encode())
    return spec.run_id


def refusal(error: pytest.ExceptionInfo[RemoteError]) -> str:
    return error.value.reason


def test_a_run_is_grouped_by_call_and_its_clusters_can_be_looked_at(stack: Stack, suti: Suti) -> None:
    run_id = run(stack)

    result = suti.start_grouping(run_id).wait(timeout_s=ENDS_S)
    clusters = list(suti.list_clusters(run_id, page_size=2))
    first_shard = list(suti.list_clusters(run_id, shard=0))
    whole = suti.get_cluster(run_id, clusters[0].cluster_id, with_pixels=True)
    bare = suti.get_cluster(run_id, clusters[0].cluster_id)

    assert result.clusters == len(clusters) > 2
    assert sum(len(cluster.pictures) for cluster in clusters) == result.pictures
    assert result.shards == len({cluster.shard for cluster in clusters})
    assert sum(result.dropped.values()) > 0
    assert {cluster.state for cluster in clusters} == {pb.CLUSTER_STATE_RAW}
    assert [one.cluster_id for one in first_shard] == [one.cluster_id for one in clusters if one.shard == 0]
    assert list(suti.list_clusters(run_id, state=pb.CLUSTER_STATE_KEPT)) == []
    assert all(one.picture.content.startswith(b"\x89PNG") for one in whole.pictures)
    assert not any(one.picture.content for one in bare.pictures)


def test_a_repeated_start_is_the_same_operation_and_another_body_is_refused(stack: Stack, suti: Suti) -> None:
    run_id, request_id = run(stack), new_request_id()

    first = suti.start_grouping(run_id, request_id=request_id)
    again = suti.start_grouping(run_id, request_id=request_id)
    with pytest.raises(RemoteError) as reused:
        suti.start_grouping(run(stack), request_id=request_id)

    assert first.name == again.name
    assert first.wait(timeout_s=ENDS_S) == again.wait(timeout_s=ENDS_S)
    assert refusal(reused) == "REQUEST_ID_REUSED"


def test_what_there_is_not_is_said_with_its_reason(stack: Stack, suti: Suti) -> None:
    with pytest.raises(RemoteError) as no_run:
        suti.start_grouping("01ARZ3NDEKTSV4RRFFQ69G5FAV")
    with pytest.raises(RemoteError) as no_uuid:
        suti.start_grouping(run(stack), request_id="mine")
    with pytest.raises(RemoteError) as no_operation:
        suti.pending(Service.CLUSTERING, "operations/grouping-nobody", pb.GroupingResult)
    with pytest.raises(RemoteError) as child:
        suti.start_grouping(run(stack, parent_run_id="01ARZ3NDEKTSV4RRFFQ69G5FAV"))

    assert refusal(no_run) == "OBJECT_MISSING"
    assert refusal(no_uuid) == "INVALID_ARGUMENT"
    assert refusal(no_operation) == "NO_OPERATION"
    assert refusal(child) == "GROUPING_INHERITED"


def test_a_grouping_ends_with_its_run_and_not_by_itself(stack: Stack, suti: Suti) -> None:
    run_id = run(stack)
    pending = suti.start_grouping(run_id)
    with pytest.raises(RemoteError) as refused:
        pending.cancel()
    pending.wait(timeout_s=ENDS_S)
    cancelled = run(stack)
    stack.store.put(keys.run_cancelled(cancelled), b"{}")

    with pytest.raises(RemoteError, match="the run is over"):
        suti.start_grouping(cancelled).wait(timeout_s=60)
    with pytest.raises(RemoteError) as no_cluster:
        suti.get_cluster(run_id, "0" * 64)

    assert refusal(refused) == "GROUPING_INHERITED"
    assert refusal(no_cluster) == "NOT_FOUND"
