import base64
import io
import json
import socket
import time
from collections.abc import Callable, Generator

import pytest
from PIL import Image

from suti.core.records import Skill
from suti.ml.captions.interfaces import AnswerUnusable, TargetPrompt
from suti.ml.captions.openai_endpoint import EndpointCaptioner, EndpointRewriter
from suti.ml.chat_endpoint import Endpoint, EndpointRefused, EndpointUnavailable
from tests.unit.ml.captions.endpoint_server import ChatServer, Reply, Request, serving


def _colour_of(request: Request) -> str:
    """What a model that can tell colours would say of the picture in the request."""
    url = request["messages"][1]["content"][0]["image_url"]["url"]
    picture = Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/png;base64,"))))
    name = {(255, 0, 0): "red", (0, 0, 255): "blue"}[picture.getpixel((0, 0))]  # pyright: ignore[reportArgumentType] - RGB
    return json.dumps({"caption": f"a {name} square\n"})


def _texts_of(request: Request) -> str:
    items = json.loads(request["messages"][1]["content"])
    return json.dumps({"texts": [f"{item['alt_text']} {item['caption']}" for item in items]})


@pytest.fixture
def colours() -> Generator[ChatServer]:
    with serving(ChatServer(_colour_of)) as server:
        yield server


@pytest.fixture
def texts() -> Generator[ChatServer]:
    with serving(ChatServer(_texts_of)) as server:
        yield server


def _endpoint(server: ChatServer, *, attempts: int = 3, timeout_s: float = 5.0, max_tokens: int = 77) -> Endpoint:
    return Endpoint(server.url, "tiny", attempts=attempts, timeout_s=timeout_s, max_tokens=max_tokens)


RED, BLUE = Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 255))


def test_every_picture_gets_its_own_caption_in_order(colours: ChatServer) -> None:
    captions = EndpointCaptioner(_endpoint(colours)).caption([RED, BLUE, BLUE, RED])

    assert captions == ["a red square", "a blue square", "a blue square", "a red square"]


def test_requests_ask_for_json_with_a_limit_and_no_chance(colours: ChatServer) -> None:
    EndpointCaptioner(_endpoint(colours, max_tokens=10)).caption([RED])

    (request,) = colours.requests
    assert request["model"] == "tiny"
    assert request["response_format"] == {"type": "json_object"}
    assert request["temperature"] == 0
    assert request["max_tokens"] == 40


def test_a_large_picture_is_shrunk_before_it_is_sent(colours: ChatServer) -> None:
    EndpointCaptioner(_endpoint(colours)).caption([Image.new("RGB", (2000, 1000), (255, 0, 0))])

    url = colours.requests[0]["messages"][1]["content"][0]["image_url"]["url"]
    assert Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).size == (512, 256)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_or_broken_endpoint_is_asked_again(colours: ChatServer, status: int) -> None:
    colours.first = [Reply(status=status), Reply(status=status)]

    assert EndpointCaptioner(_endpoint(colours)).caption([RED]) == ["a red square"]
    assert len(colours.requests) == 3


@pytest.mark.parametrize("status", [429, 500])
def test_an_endpoint_that_stays_broken_is_left_for_later(colours: ChatServer, status: int) -> None:
    colours.first = [Reply(status=status)] * 3

    with pytest.raises(EndpointUnavailable, match="retried later"):
        EndpointCaptioner(_endpoint(colours)).caption([RED])
    assert len(colours.requests) == 3


def test_a_slow_endpoint_is_given_up_at_the_deadline(colours: ChatServer) -> None:
    colours.first = [Reply(wait_s=1.0)]
    started = time.monotonic()

    with pytest.raises(EndpointUnavailable):
        EndpointCaptioner(_endpoint(colours, attempts=1, timeout_s=0.2)).caption([RED])

    assert time.monotonic() - started < 0.9


def test_an_endpoint_that_is_not_there_is_left_for_later() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        with pytest.raises(EndpointUnavailable):
            EndpointCaptioner(Endpoint(url, "tiny", attempts=1, timeout_s=1)).caption([RED])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refusal_is_not_repeated(colours: ChatServer, status: int) -> None:
    colours.first = [Reply(status=status)]

    with pytest.raises(EndpointRefused, match=str(status)):
        EndpointCaptioner(_endpoint(colours)).caption([RED])
    assert len(colours.requests) == 1


@pytest.mark.parametrize("endpoint", [Endpoint("", "tiny"), Endpoint("http://127.0.0.1:1/v1", "")])
def test_a_recipe_without_address_or_model_is_refused(endpoint: Endpoint) -> None:
    with pytest.raises(EndpointRefused, match="set both"):
        EndpointRewriter(endpoint).refine([""], ["a fish"])


@pytest.mark.parametrize(
    "nonsense", ["", "I am sorry.", "{}", '{"caption": 3}', '{"caption": ""}', "[1]", '{"caption": "open', "\x00"]
)
def test_nonsense_is_asked_for_again_and_then_given_up(colours: ChatServer, nonsense: str) -> None:
    colours.first = [Reply(nonsense)]
    assert EndpointCaptioner(_endpoint(colours)).caption([RED]) == ["a red square"]

    colours.first = [Reply(nonsense)] * 3
    with pytest.raises(AnswerUnusable, match="3 unusable answers"):
        EndpointCaptioner(_endpoint(colours)).caption([RED])


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"choices": []}', b'"text"', b"[]", b"\xff\xfe"])
def test_another_protocol_never_crashes(colours: ChatServer, body: bytes) -> None:
    colours.first = [Reply(body=body)] * 9

    with pytest.raises((EndpointUnavailable, AnswerUnusable)):
        EndpointCaptioner(_endpoint(colours)).caption([RED])


def test_json_in_a_fence_is_read(colours: ChatServer) -> None:
    colours.first = [Reply('Sure!\n```json\n{"caption": "a red thing"}\n```')]

    assert EndpointCaptioner(_endpoint(colours)).caption([RED]) == ["a red thing"]


def test_a_cluster_is_refined_in_one_request(texts: ChatServer) -> None:
    refined = EndpointRewriter(_endpoint(texts)).refine(["zorvo", ""], ["a fish", "a fish in the snow"])

    assert refined == ["zorvo a fish", "a fish in the snow"]
    assert len(texts.requests) == 1


def test_an_answer_with_too_few_texts_is_asked_for_again(texts: ChatServer) -> None:
    texts.first = [Reply('{"texts": ["one"]}'), Reply('{"texts": ["one", " "]}')]

    assert len(EndpointRewriter(_endpoint(texts)).refine(["", ""], ["a fish", "a fish"])) == 2
    assert len(texts.requests) == 3


def test_texts_are_cut_and_control_characters_go(texts: ChatServer) -> None:
    texts.first = [Reply(json.dumps({"texts": ["one\x00two three four five"]}))]

    assert EndpointRewriter(_endpoint(texts, max_tokens=3)).refine(["x"], ["y"]) == ["one two three"]


def _prompts(*prompts: tuple[str, str]) -> Callable[[Request], str]:
    return lambda _: json.dumps({"prompts": [{"skill": skill, "text": text} for skill, text in prompts]})


def test_prompts_that_were_said_already_or_twice_are_left_out() -> None:
    said = _prompts(("style", "A fish."), ("style", "a pop art fish"), ("style", "a pop-art fish"), ("accessory", "x"))
    with serving(ChatServer(said)) as server:
        prompts = EndpointRewriter(_endpoint(server)).propose(["a fish"], own=["X"], count=4, seed=1)

    assert prompts == [TargetPrompt(Skill.STYLE, "a pop art fish")]


def test_no_more_prompts_than_asked_for() -> None:
    with serving(ChatServer(_prompts(*[("style", f"fish {n}") for n in range(9)]))) as server:
        assert len(EndpointRewriter(_endpoint(server)).propose(["a fish"], count=2, seed=2**62)) == 2


def test_an_unknown_skill_is_unusable() -> None:
    with serving(ChatServer(_prompts(("dancing", "a fish that dances")))) as server, pytest.raises(AnswerUnusable):
        EndpointRewriter(_endpoint(server, attempts=2)).propose(["a fish"], count=1, seed=0)


def test_the_key_is_never_shown() -> None:
    assert "sesame" not in repr(Endpoint("http://x/v1", "tiny", key="sesame"))
