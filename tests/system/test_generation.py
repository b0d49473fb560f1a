"""The generation service over real sockets: subjects, pictures, streams, batches; every bad input with its reason."""

import hashlib
import io
import json
import struct
import threading
import time
import uuid
import zlib
from collections.abc import Generator
from pathlib import Path

import pytest
from PIL import Image

from suti.api.generation.v1 import generation_pb2 as pb
from suti.api.types.v1.types_pb2 import Demonstration, ModelKind, Picture
from suti.client.blocking import Suti
from suti.client.errors import RemoteError
from suti.client.requests.generation import generate_request
from suti.core import keys
from suti.core.seeds import derive_seed
from tests.system.generation_stack import GenerationProcess, demonstrations, picture, running, save_models

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Generator[GenerationProcess]:
    folder: Path = tmp_path_factory.mktemp("generation")
    save_models(folder / "models")
    with running(folder) as process:
        yield process


@pytest.fixture
def client(service: GenerationProcess) -> Generator[Suti]:
    with service.client() as suti:
        yield suti


def refused(error: pytest.ExceptionInfo[RemoteError]) -> str:
    message = str(error.value)
    assert ":" in message or "," in message  # a remedy follows what is wrong
    return error.value.reason


def test_models_are_listed_with_kind_hash_and_size(client: Suti) -> None:
    models = {model.name: model for model in client.list_models()}

    assert set(models) == {"base", "warmstart"}  # a folder that is no model is left out
    assert models["warmstart"].kind == ModelKind.MODEL_KIND_WARMSTART
    assert models["base"].kind == ModelKind.MODEL_KIND_BASE
    assert models["base"].width_px == models["base"].height_px == 16
    assert len(models["base"].sha256) == 64
    assert models["base"].sha256 != models["warmstart"].sha256


def test_a_subject_is_registered_listed_drawn_and_deleted(client: Suti, service: GenerationProcess) -> None:
    subject = client.register_subject(demonstrations(4), display_name="my mug", created_by="me")

    assert client.get_subject(subject.subject_id) == subject
    assert [one.caption for one in subject.demonstrations] == [f"a mug, view {index}" for index in range(4)]
    assert subject.subject_id in {one.subject_id for one in client.list_subjects(page_size=1)}
    shown = client.get_subject(subject.subject_id, with_pixels=True).demonstrations[0].picture.content
    assert Image.open(io.BytesIO(shown)).convert("RGB").tobytes() == (
        Image.open(io.BytesIO(picture(0))).convert("RGB").tobytes()
    )
    answer = client.generate(
        generate_request("a mug at sea", subject_id=subject.subject_id, model="warmstart", count=2, seed=7)
    )
    assert len(answer.pictures) == 2
    assert [one.seed for one in answer.pictures] == [derive_seed(7, "generation", index) for index in (0, 1)]
    for one in answer.pictures:
        drawn = Image.open(io.BytesIO(one.png))
        assert drawn.size == (16, 16) == (one.width_px, one.height_px)
        assert hashlib.sha256(drawn.tobytes()).hexdigest() == one.pixels_sha256
    record = json.loads(service.store.get(keys.drawn(answer.provenance_id, "record.json")))
    assert record["subject_digest"] == subject.digest
    assert record["model_sha256"] == answer.model.sha256
    kept = service.store.list(keys.subject(subject.subject_id, ""))
    assert any(info.key.endswith(f"contexts/{answer.model.sha256}.safetensors") for info in kept)

    client.delete_subject(subject.subject_id)

    with pytest.raises(RemoteError) as error:
        client.get_subject(subject.subject_id)
    assert refused(error) == "NO_SUBJECT"
    assert list(service.store.list(keys.subject(subject.subject_id, ""))) == []


def test_registering_twice_with_one_request_id_keeps_one_subject(client: Suti) -> None:
    request_id = str(uuid.uuid4())

    first = client.register_subject(demonstrations(2, seed=50), request_id=request_id)
    second = client.register_subject(demonstrations(2, seed=50), request_id=request_id)
    with pytest.raises(RemoteError) as error:
        client.register_subject(demonstrations(3, seed=50), request_id=request_id)

    assert first == second
    assert refused(error) == "REQUEST_ID_REUSED"


def test_the_same_request_id_yields_the_same_answer_and_refuses_another_body(client: Suti) -> None:
    request = generate_request("a red hat", model="base", count=2)

    first, second = client.generate(request), client.generate(request)
    with pytest.raises(RemoteError) as error:
        client.generate(generate_request("a blue hat", model="base", request_id=request.request_id))

    assert not first.replayed
    assert second.replayed
    assert second.pictures == first.pictures
    assert refused(error) == "REQUEST_ID_REUSED"


def test_a_registered_subject_and_the_same_pictures_inline_draw_alike(client: Suti) -> None:
    subject = client.register_subject(demonstrations(3, seed=9))
    by_id = generate_request("a mug", subject_id=subject.subject_id, model="warmstart", seed=3)
    inline = generate_request("a mug", demonstrations=demonstrations(3, seed=9), model="warmstart", seed=3)
    others = generate_request("a mug", demonstrations=demonstrations(3, seed=90), model="warmstart", seed=3)

    first, second, third = (client.generate(request).pictures[0] for request in (by_id, inline, others))

    assert first.pixels_sha256 == second.pixels_sha256
    assert first.pixels_sha256 != third.pixels_sha256


def difference(one: pb.GenerateResponse, other: pb.GenerateResponse) -> int:
    """The largest difference of a pixel of the first pictures, 0 to 255."""
    ours, theirs = (Image.open(io.BytesIO(answer.pictures[0].png)).tobytes() for answer in (one, other))
    return max(abs(a - b) for a, b in zip(ours, theirs, strict=True))


def test_text_and_subject_guidance_are_apart(client: Suti) -> None:
    shown = demonstrations(2, seed=70)

    def drawn(*, guidance: float, subject_guidance: float | None = None) -> pb.GenerateResponse:
        request = generate_request(
            "a mug",
            demonstrations=shown,
            model="warmstart",
            seed=5,
            steps=4,
            guidance=guidance,
            subject_guidance=subject_guidance,
        )
        return client.generate(request)

    blind = client.generate(generate_request("a mug", model="base", seed=5, steps=4, sampler_name="ddim", guidance=2.0))

    assert difference(drawn(guidance=2.0, subject_guidance=0.0), blind) <= 1  # rounding of other batch shapes
    assert difference(drawn(guidance=2.0), blind) > 1
    assert difference(drawn(guidance=2.0, subject_guidance=6.0), drawn(guidance=2.0)) > 1


def test_a_stream_tells_place_steps_previews_and_the_result_last(client: Suti) -> None:
    request = generate_request("a mug", model="base", steps=6, count=2, preview_steps=2)

    events = list(client.generate_stream(request))

    kinds = [event.WhichOneof("event") for event in events]
    assert kinds[0] == "queued"
    assert kinds[-1] == "result"
    steps = [(event.step.step, event.step.steps) for event in events if event.HasField("step")]
    assert steps == [(step, 6) for step in range(1, 7)]
    previews = [event.preview for event in events if event.HasField("preview")]
    assert [preview.step for preview in previews] == [2, 4]
    assert all(Image.open(io.BytesIO(png)).size == (16, 16) for preview in previews for png in preview.pngs)
    assert len(previews[0].pngs) == len(events[-1].result.pictures) == 2


def test_hanging_up_stops_the_drawing_within_a_step(client: Suti) -> None:
    stream = client.generate_stream(generate_request("a mug", model="base", steps=1000, count=16))
    for event in stream:
        if event.HasField("step"):
            break
    stream.close()  # pyright: ignore[reportAttributeAccessIssue] - it is a generator

    began = time.monotonic()
    answer = client.generate(generate_request("a hat", model="base", steps=1))

    assert len(answer.pictures) == 1  # the painter is free again, long before a thousand steps are done
    assert answer.timings.queued.ToMilliseconds() < 1e3 * (time.monotonic() - began) < 20_000


def test_a_deadline_that_passes_ends_the_call_and_frees_the_painter(service: GenerationProcess) -> None:
    from suti.client.options import Options  # noqa: PLC0415

    with Suti(service.address, options=Options(drawing_timeout_s=2.0, attempts=1)) as impatient:
        with pytest.raises(RemoteError) as error:
            impatient.generate(generate_request("a mug", model="base", steps=1000, count=16))
        assert error.value.code.name == "DEADLINE_EXCEEDED"
    with service.client() as patient:
        assert patient.generate(generate_request("a hat", model="base", steps=1)).pictures


def test_requests_that_come_together_get_the_pictures_of_their_own_prompts(client: Suti) -> None:
    prompts = ["a red mug", "a hat", "two dogs", "a boat at sea"]
    together: dict[str, pb.GenerateResponse] = {}

    def ask(prompt: str) -> None:
        together[prompt] = client.generate(generate_request(prompt, model="base", seed=1, steps=8))

    threads = [threading.Thread(target=ask, args=(prompt,)) for prompt in prompts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    for prompt in prompts:
        alone = client.generate(generate_request(prompt, model="base", seed=1, steps=8))
        assert difference(alone, together[prompt]) <= 1


def test_a_batch_is_drawn_in_the_background_and_keeps_the_errors_of_its_requests(client: Suti) -> None:
    good = [generate_request(f"mug {index}", model="base", steps=2) for index in range(3)]
    bad = generate_request(" ", model="base")

    pending = client.generate_batch([*good, bad])
    result = pending.wait(timeout_s=60)

    assert [item.request_id for item in result.items] == [*(one.request_id for one in good), bad.request_id]
    assert all(item.response.pictures[0].png for item in result.items[:3])
    assert result.items[3].error.code != 0
    assert "prompt" in result.items[3].error.message
    assert client.generate(good[0]).replayed


def bomb() -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"")


def with_picture(content: bytes) -> list[Demonstration]:
    return [*demonstrations(2), Demonstration(picture=Picture(content=content), caption="hostile")]


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        ([], "DEMONSTRATION_COUNT"),
        (demonstrations(1) * 50, "DEMONSTRATION_COUNT"),
        (with_picture(b"not a picture at all"), "PICTURE_NOT_A_PICTURE"),
        (with_picture(picture(1)[:60]), "PICTURE_UNREADABLE"),
        (with_picture(bomb()), "PICTURE_BOMB"),
        (with_picture(b""), "PICTURE_EMPTY"),
        (with_picture(picture(1, size_px=4)), "PICTURE_TOO_SMALL"),
        ([Demonstration(caption="no picture")], "INVALID_ARGUMENT"),
        ([Demonstration(picture=Picture(store_key="subjects/none.png"))], "OBJECT_MISSING"),
        ([Demonstration(picture=Picture(content=picture(1)), caption="x" * 1001)], "CAPTION_TOO_LONG"),
    ],
)  # fmt: skip
def test_bad_demonstrations_are_refused_each_with_its_reason(
    client: Suti, shown: list[Demonstration], reason: str
) -> None:
    with pytest.raises(RemoteError) as error:
        client.register_subject(shown)

    assert refused(error) == reason


def test_odd_but_honest_pictures_are_welcome(client: Suti) -> None:
    cmyk = io.BytesIO()
    Image.new("CMYK", (20, 30), (10, 200, 30, 0)).save(cmyk, format="JPEG")
    animated = io.BytesIO()
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(animated, format="GIF", save_all=True, append_images=frames[1:])
    deep = io.BytesIO()
    Image.new("I;16", (20, 20), 30_000).save(deep, format="PNG")

    sources = [cmyk.getvalue(), animated.getvalue(), deep.getvalue(), picture(1, kind="WEBP")]
    subject = client.register_subject([Demonstration(picture=Picture(content=one)) for one in sources])

    assert client.generate(generate_request("it", subject_id=subject.subject_id, model="warmstart")).pictures


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"prompt": ""}, "PROMPT_EMPTY"),
        ({"prompt": " \n\t"}, "PROMPT_EMPTY"),
        ({"prompt": "x" * 1001}, "PROMPT_TOO_LONG"),
        ({"negative_prompt": "x" * 1001}, "PROMPT_TOO_LONG"),
        ({"count": 17}, "PICTURE_COUNT_OUT_OF_RANGE"),
        ({"count": 4_000_000_000}, "PICTURE_COUNT_OUT_OF_RANGE"),
        ({"steps": 1001}, "STEPS_OUT_OF_RANGE"),
        ({"guidance": -1.0}, "GUIDANCE_OUT_OF_RANGE"),
        ({"guidance": float("nan")}, "GUIDANCE_OUT_OF_RANGE"),
        ({"subject_guidance": 1e9}, "GUIDANCE_OUT_OF_RANGE"),
        ({"seed": 2**63}, "SEED_OUT_OF_RANGE"),
        ({"width_px": 100_000}, "SIZE_NOT_SUPPORTED"),
        ({"height_px": 8}, "SIZE_NOT_SUPPORTED"),
        ({"model": "no-such-model"}, "UNKNOWN_MODEL"),
        ({"model": "../../etc"}, "UNKNOWN_MODEL"),
        ({"model": "/etc"}, "UNKNOWN_MODEL"),
        ({"model": "notes"}, "UNKNOWN_MODEL"),
        ({"model": "runs/01H00000000000000000000000"}, "UNKNOWN_MODEL"),
        ({"model": "runs/../x"}, "UNKNOWN_MODEL"),
        ({"model": ""}, "UNKNOWN_MODEL"),
        ({"enlarge_with": ["base"]}, "UNKNOWN_MODEL"),
        ({"enlarge_with": ["base"] * 4}, "TOO_MANY_ENLARGEMENTS"),
        ({"noise_level": 1}, "ENLARGE_WITH_MISSING"),
        ({"model": "warmstart"}, "SUBJECT_REQUIRED"),
        ({"subject_id": "01H00000000000000000000000"}, "SUBJECT_NOT_SUPPORTED"),
        ({"subject_id": "01H00000000000000000000000", "model": "warmstart"}, "NO_SUBJECT"),
        ({"subject_id": "../x", "model": "warmstart"}, "NO_SUBJECT"),
        ({"inline": pb.Demonstrations(), "model": "warmstart"}, "DEMONSTRATION_COUNT"),
        ({"sampler": 99}, "INVALID_ARGUMENT"),
        ({"request_id": "not-a-uuid"}, "INVALID_ARGUMENT"),
    ],
)  # fmt: skip
def test_bad_orders_are_refused_each_with_its_reason(client: Suti, changes: dict[str, object], reason: str) -> None:
    fields: dict[str, object] = {"request_id": str(uuid.uuid4()), "prompt": "a mug", "model": "base"} | changes

    with pytest.raises(RemoteError) as error:
        client.generate(pb.GenerateRequest(**fields))  # pyright: ignore[reportArgumentType] - wrong on purpose

    assert refused(error) == reason
