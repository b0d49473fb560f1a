import base64
import gc
import io
import json
from collections.abc import Generator
from contextlib import contextmanager

import pytest
from PIL import Image

from suti.ml.chat_endpoint import Endpoint, EndpointRefused
from suti.ml.evaluation.judging import EndpointJudge
from suti.stages.evaluation.judged import judge_all
from suti.stages.evaluation.plan import freeze
from suti.stages.evaluation.summing import sum_up
from suti.stages.evaluation.totals import Total
from tests.unit.ml.captions.endpoint_server import ChatServer, Reply, Request, serving
from tests.unit.stages.evaluation.conftest import Bench, MakeBench, picture

# An exchange that was cut off leaves its socket to the collector (httpx).
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def leavings() -> Generator[None]:
    yield
    gc.collect()  # here, not in another test


def _yes(_: Request) -> str:
    return json.dumps({"subject": 1, "text": True, "photorealism": 0.7})


def _red_ones_only(request: Request) -> str:
    """Says no to the text of every prompt that asks for no red thing."""
    return json.dumps({"subject": 1, "text": int("a red" in request["messages"][0]["content"]), "photorealism": 1})


@contextmanager
def _judge(
    server: ChatServer, *, name: str = "tiny", attempts: int = 2, timeout_s: float = 5
) -> Generator[EndpointJudge]:
    endpoint = Endpoint(server.url, name, attempts=attempts, timeout_s=timeout_s)
    try:
        yield EndpointJudge(endpoint)
    finally:
        endpoint.close()


def _judged(bench: Bench, server: ChatServer, **options: float) -> dict[tuple[str, str], Total]:
    freeze(bench.plan, bench.folder.store)
    with _judge(server, **options) as judge:  # pyright: ignore[reportArgumentType] - two options
        judge_all(bench.plan, bench.subjects, bench.source, judge, bench.folder)
    return {(total.metric, total.condition): total for total in sum_up(bench.folder)}


def test_overall_is_yes_where_all_three_answers_are_and_skills_are_told_apart(bench: MakeBench) -> None:
    with serving(ChatServer(_red_ones_only)) as server:
        found = _judged(bench(), server)

    assert found["judge_subject", "all"].mean == 1
    assert found["judge_overall", "all"].mean == 0.5
    assert found["judge_overall", "attribute"].mean == 1
    assert found["judge_overall", "recontextualisation"].mean == 0
    assert found["judge_overall", "all"].protocol_id.startswith("judge;model=tiny;references<=4;")


def test_a_judge_sees_the_demonstrations_first_and_the_drawing_last(bench: MakeBench) -> None:
    made = bench()
    with serving(ChatServer(_yes)) as server:
        _judged(made, server)

    request = server.requests[0]
    shown = [
        Image.open(io.BytesIO(base64.b64decode(part["image_url"]["url"].split(",")[1]))).size
        for part in request["messages"][1]["content"]
    ]
    assert shown == [(40, 36), (40, 36), (32, 32)]
    assert "a candle" in request["messages"][0]["content"]
    assert "sks candle" not in request["messages"][0]["content"]


def test_a_busy_judge_is_waited_for_as_long_as_it_says(bench: MakeBench) -> None:
    with serving(ChatServer(_yes, first=[Reply(status=429, retry_after="0.3")] * 3)) as server:
        found = _judged(bench(), server, attempts=3)

    assert (found["judge_overall", "all"].n, found["judge_overall", "all"].missing) == (8, 0)
    assert len(server.requests) == 11


def test_nonsense_is_asked_for_again_then_marked_and_never_asked_again(bench: MakeBench) -> None:
    def confused(request: Request) -> str:
        return "I see a candle." if "a candle in the jungle" in request["messages"][0]["content"] else _yes(request)

    made = bench()
    with serving(ChatServer(confused)) as server:
        found = _judged(made, server)
        asked = len(server.requests)
        _judged(made, server)

    total = found["judge_subject", "all"]
    assert (total.n, total.missing, total.reasons) == (6, 2, {"ANSWER_UNUSABLE": 2})
    assert (asked, len(server.requests)) == (6 + 2 * 2, asked)


@pytest.mark.parametrize("trouble", [Reply(status=503), Reply(status=429), Reply(wait_s=0.6)])
def test_what_an_absent_judge_left_open_is_asked_again_and_nothing_else(bench: MakeBench, trouble: Reply) -> None:
    made = bench()
    with serving(ChatServer(_yes, first=[trouble] * 2)) as server:
        first = _judged(made, server, attempts=1, timeout_s=0.3)
        asked = len(server.requests)
        second = _judged(made, server)

    marked = first["judge_overall", "all"]
    assert (marked.n, marked.missing, marked.reasons) == (6, 2, {"ENDPOINT_UNAVAILABLE": 2})
    assert (asked, len(server.requests)) == (8, 10)
    assert (second["judge_overall", "all"].n, second["judge_overall", "all"].missing) == (8, 0)


def test_a_judge_that_stays_away_is_not_asked_for_ever(bench: MakeBench) -> None:
    made = bench()
    with serving(ChatServer(_yes, first=[Reply(status=503)] * 99)) as server:
        freeze(made.plan, made.folder.store)
        for _ in range(2):
            with _judge(server, attempts=1) as judge:
                judge_all(made.plan, made.subjects, made.source, judge, made.folder)
        asked = len(server.requests)

    total = next(one for one in sum_up(made.folder) if one.metric == "judge_text" and one.condition == "all")
    assert (total.mean, total.n, total.missing) == (None, 0, 8)
    assert asked == 16


def test_a_judge_that_knows_us_not_stops_the_judging_with_what_to_do(bench: MakeBench) -> None:
    made = bench()
    freeze(made.plan, made.folder.store)
    with (
        serving(ChatServer(_yes, first=[Reply(status=401)] * 9)) as server,
        _judge(server) as judge,
        pytest.raises(EndpointRefused, match="key"),
    ):
        judge_all(made.plan, made.subjects, made.source, judge, made.folder)


def test_a_second_judge_stands_beside_the_first_and_neither_is_asked_again(bench: MakeBench) -> None:
    made = bench()
    freeze(made.plan, made.folder.store)
    with serving(ChatServer(_yes)) as server:
        for name in ("tiny", "large", "tiny", "large"):
            with _judge(server, name=name) as judge:
                judge_all(made.plan, made.subjects, made.source, judge, made.folder)
        asked = len(server.requests)

    found = [one for one in sum_up(made.folder) if (one.metric, one.condition) == ("judge_overall", "all")]
    assert {(one.protocol_id.split(";")[1], one.n) for one in found} == {("model=tiny", 8), ("model=large", 8)}
    assert asked == 16


def test_a_drawing_that_was_replaced_is_judged_again(bench: MakeBench) -> None:
    made = bench()
    with serving(ChatServer(_yes)) as server:
        _judged(made, server)
        buffer = io.BytesIO()
        picture(77).save(buffer, "PNG")
        made.folder.store.put("drawings/candle/20/1.png", buffer.getvalue())
        _judged(made, server)

    assert len(server.requests) == 9


def test_a_judges_rows_say_how_many_pictures_it_was_shown(bench: MakeBench) -> None:
    made = bench()
    with serving(ChatServer(_yes)) as server:
        _judged(made, server)

    assert {(row.references, row.references_missing, len(row.against_sha256)) for row in made.folder.all_rows()} == {
        (2, 0, 64)
    }
