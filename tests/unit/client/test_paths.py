"""The client's calls are those of the protos: no method is missing, none is invented, and the answers' types agree."""

from collections.abc import Sequence
from typing import Any

from google.longrunning.operations_pb2 import operation_info
from google.protobuf.descriptor import MethodDescriptor

from suti.api.apprentice.v1 import apprentice_pb2
from suti.api.captioning.v1 import captioning_pb2
from suti.api.clustering.v1 import clustering_pb2
from suti.api.experts.v1 import experts_pb2
from suti.api.filtering.v1 import filtering_pb2
from suti.api.generation.v1 import generation_pb2
from suti.api.pipeline.v1 import pipeline_pb2
from suti.api.types.v1.types_pb2 import Demonstration
from suti.client.calls import Long, Pages, Rpc, Stream
from suti.client.inputs import run_order
from suti.client.requests import apprentice, generation, pipeline, stages

MODULES = [
    apprentice_pb2,
    captioning_pb2,
    clustering_pb2,
    experts_pb2,
    filtering_pb2,
    generation_pb2,
    pipeline_pb2,
]
GENERATE = generation.generate_request("a cat")
CALLS: Sequence[Rpc[Any] | Pages[Any, Any] | Long[Any]] = [
    pipeline.create_run(run_order("crawl")),
    pipeline.get_run("r"),
    pipeline.list_runs(),
    pipeline.watch_run("r"),
    pipeline.cancel_run("r"),
    pipeline.explain_run("r"),
    pipeline.audit_run("r"),
    pipeline.plan_run(run_order("crawl")),
    pipeline.replay_filter("r"),
    pipeline.get_provenance("source_url", "https://example.org"),
    pipeline.list_dead_letters(),
    pipeline.replay_dead_letters(run_id="r"),
    pipeline.drop_dead_letters(run_id="r"),
    pipeline.create_tombstone(urls=["https://example.org"]),
    pipeline.list_tombstones(),
    pipeline.delete_tombstone("t"),
    pipeline.evaluate_model({"s": "cat"}),
    generation.register_subject([Demonstration()]),
    generation.get_subject("s"),
    generation.list_subjects(),
    generation.delete_subject("s"),
    generation.generate(GENERATE),
    generation.generate_stream(GENERATE),
    generation.generate_batch([GENERATE]),
    generation.read_picture("drawn/r/00.png"),
    generation.list_models(),
    apprentice.start_training("r"),
    apprentice.watch_training("r"),
    apprentice.stop_training("r"),
    apprentice.list_checkpoints(),
    apprentice.promote_checkpoint("c"),
    stages.start_grouping("r"),
    stages.list_clusters("r"),
    stages.get_cluster("r", "c"),
    stages.caption_pictures([(b"png", "")]),
    stages.propose_prompts(["a cat"]),
    stages.tune_expert([Demonstration()], ["a cat"]),
    stages.list_methods(),
    stages.score_candidates([Demonstration()], [(b"png", "a cat")]),
]


SENT: Sequence[Rpc[Any]] = [
    call.first if isinstance(call, Pages) else call.start if isinstance(call, Long) else call for call in CALLS
]
METHODS: dict[str, MethodDescriptor] = {
    f"/{service.full_name}/{method.name}": method
    for module in MODULES
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


def test_every_method_of_every_service_has_a_call() -> None:
    assert sorted(call.path for call in SENT) == sorted(METHODS)


def test_requests_answers_and_streaming_are_those_of_the_protos() -> None:
    for call in SENT:
        method = METHODS[call.path]
        assert call.request.DESCRIPTOR.full_name == method.input_type.full_name
        assert call.answer.DESCRIPTOR.full_name == method.output_type.full_name
        assert isinstance(call, Stream) == method.server_streaming


def test_operations_promise_the_result_that_the_client_expects() -> None:
    for long in (call for call in CALLS if isinstance(call, Long)):
        options = METHODS[long.start.path].GetOptions()
        promised = options.Extensions[operation_info].response_type  # pyright: ignore[reportArgumentType] - untyped there
        assert promised == long.result.DESCRIPTOR.full_name
