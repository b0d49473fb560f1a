"""What the client sends and what comes back, in both flavours, over a real socket."""

from uuid import UUID

import grpc
import pytest
from google.protobuf.message import Message

from suti.api.pipeline.v1 import pipeline_pb2 as pipeline
from suti.client import AsyncSuti, Endpoints, Options, Suti
from suti.client.errors import RemoteError, RemoteNotFound, RemoteRefusal, RemoteTrouble
from suti.client.inputs import run_order
from suti.client.requests.generation import generate_request
from suti.core.errors import PermanentError, RetryableError
from tests.unit.client.conftest import QUICK, RUN, Ask, Backstage, details_of

UNAVAILABLE = details_of(grpc.StatusCode.UNAVAILABLE, "busy; call again", reason="OVERLOADED", retry=True)


def _request_ids(seen: list[Message]) -> set[str]:
    return {str(getattr(request, "request_id")) for request in seen}  # noqa: B009 - each of these has one


def test_a_run_is_created_with_a_request_id_of_its_own(ask: Ask, backstage: Backstage) -> None:
    run = ask(
        "create_run", run_order("crawl.warc.gz", preset="toy", changes={"experts": {"steps": 20}}), created_by="x"
    )

    assert (run.run_id, run.created_by) == (RUN, "x")
    assert run.order.preset == pipeline.PRESET_TOY
    assert run.order.overrides["experts"]["steps"] == 20
    (request_id,) = _request_ids(backstage.seen)
    assert UUID(request_id).version == 4


def test_a_retry_sends_the_same_request_id_again(ask: Ask, backstage: Backstage) -> None:
    backstage.trouble["CreateRun"] = [UNAVAILABLE, UNAVAILABLE]

    assert ask("create_run", run_order("crawl")).run_id == RUN

    assert backstage.calls["CreateRun"] == 3
    assert len(_request_ids(backstage.seen)) == 1


def test_retries_end_with_the_reason_of_the_server(ask: Ask, backstage: Backstage) -> None:
    backstage.trouble["CreateRun"] = [UNAVAILABLE] * 9

    with pytest.raises(RemoteTrouble, match="busy; call again") as caught:
        ask("create_run", run_order("crawl"))

    assert isinstance(caught.value, RetryableError)
    assert caught.value.reason == "OVERLOADED"
    assert backstage.calls["CreateRun"] == QUICK.attempts


def test_what_must_not_be_done_twice_is_not_retried(ask: Ask, backstage: Backstage) -> None:
    backstage.trouble["DeleteSubject"] = [UNAVAILABLE]

    with pytest.raises(RemoteTrouble):
        ask("delete_subject", RUN)

    assert backstage.calls["DeleteSubject"] == 1


def test_a_refusal_is_permanent_and_names_reason_field_and_trace(ask: Ask, backstage: Backstage) -> None:
    backstage.trouble["Generate"] = [
        details_of(
            grpc.StatusCode.INVALID_ARGUMENT, "count: 99 is over 16", reason="INVALID_ARGUMENT", field_name="count"
        )
    ]

    with pytest.raises(RemoteRefusal, match="count: 99 is over 16") as caught:
        ask("generate", generate_request("a cat", count=99))

    assert isinstance(caught.value, PermanentError)
    assert caught.value.reason == "INVALID_ARGUMENT"
    assert caught.value.fields == {"count": "count: 99 is over 16"}
    assert caught.value.trace_id == "ab" * 16


def test_a_missing_thing_has_a_class_of_its_own(ask: Ask, backstage: Backstage) -> None:
    backstage.trouble["GetRun"] = [details_of(grpc.StatusCode.NOT_FOUND, "no run; list them", reason="NOT_FOUND")]

    with pytest.raises(RemoteNotFound, match="list them"):
        ask("get_run", RUN)


def test_an_unknown_method_says_that_the_server_may_be_older(ask: Ask) -> None:
    with pytest.raises(RemoteRefusal, match=r"pipeline at 127\.0\.0\.1:\d+, ExplainRun: .*older version") as caught:
        ask("explain_run", RUN)

    assert caught.value.reason == "UNIMPLEMENTED"


def test_a_bug_of_the_server_is_neither_retryable_nor_the_callers_fault(ask: Ask, backstage: Backstage) -> None:
    backstage.trouble["GetRun"] = [details_of(grpc.StatusCode.INTERNAL, "internal error", reason="INTERNAL")]

    with pytest.raises(RemoteError) as caught:
        ask("get_run", RUN)

    assert not isinstance(caught.value, RetryableError | PermanentError)


def test_a_list_is_read_over_all_its_pages(ask: Ask, backstage: Backstage) -> None:
    assert [run.run_id for run in ask("list_runs")] == ["newer", "older"]
    assert backstage.calls["ListRuns"] == 2


def test_pages_that_nobody_reads_are_not_fetched(backstage: Backstage) -> None:
    with Suti(backstage.address, options=QUICK) as suti:
        assert next(suti.list_runs()).run_id == "newer"

    assert backstage.calls["ListRuns"] == 1


def test_a_token_and_further_metadata_go_along_with_every_call(ask: Ask, backstage: Backstage) -> None:
    tokens = iter(["first", "second"])
    options = Options(token=lambda: next(tokens), metadata=lambda: [("traceparent", "00-1-2-01")])

    ask("get_run", RUN, options=options)
    ask("get_run", RUN, options=options)

    assert [seen["authorization"] for seen in backstage.metadata] == ["Bearer first", "Bearer second"]
    assert backstage.metadata[0]["traceparent"] == "00-1-2-01"


def test_both_flavours_have_the_same_methods() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    assert public(Suti) == public(AsyncSuti)
    assert "register_subject" in public(Suti)


def test_a_service_without_an_address_is_named() -> None:
    with Suti(Endpoints(pipeline="127.0.0.1:1")) as suti, pytest.raises(PermanentError, match="generation='host:port'"):
        suti.delete_subject(RUN)
