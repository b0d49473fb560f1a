"""Cascades over real sockets: any subset of stages, and every chain that does not fit with its reason."""

import io
import json
import uuid
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest
from PIL import Image

from suti.api.generation.v1 import generation_pb2 as pb
from suti.api.types.v1.types_pb2 import ModelKind, Picture
from suti.client.blocking import Suti
from suti.client.errors import RemoteError
from suti.client.requests.generation import generate_request
from suti.core import keys
from tests.system.generation_stack import GenerationProcess, demonstrations, picture, running, save_models
from tests.unit.ml.super_resolution.tiny_upscalers import deepfloyd_second_stage, saved, stable_diffusion_upscaler

pytestmark = pytest.mark.timeout(900)

DRAWN_PX = 16  # by the tiny base; both upscalers take 8 to 32 pixels and make them four times as wide
QUICKLY = '{"sampler": "ddim", "steps": 3, "guidance": 2.0, "noise_level": 30}'


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Generator[GenerationProcess]:
    folder: Path = tmp_path_factory.mktemp("enlarging")
    save_models(folder / "models")
    for name, pipeline in (("pixels", deepfloyd_second_stage()), ("latents", stable_diffusion_upscaler())):
        (saved(pipeline, folder / "models" / name) / "sampling.json").write_text(QUICKLY)
    with running(folder) as process:
        yield process


@pytest.fixture
def client(service: GenerationProcess) -> Generator[Suti]:
    with service.client() as suti:
        yield suti


def sizes(answer: pb.GenerateResponse) -> list[tuple[int, int]]:
    opened = [Image.open(io.BytesIO(one.png)).size for one in answer.pictures]
    assert opened == [(one.width_px, one.height_px) for one in answer.pictures]
    return opened


def hashes(answer: pb.GenerateResponse) -> list[str]:
    return [one.pixels_sha256 for one in answer.pictures]


def sent(answer: pb.GenerateResponse) -> list[Picture]:
    return [Picture(content=one.png) for one in answer.pictures]


def test_super_resolution_models_are_listed_with_their_factor(client: Suti) -> None:
    found = {model.name: model for model in client.list_models(kind=ModelKind.MODEL_KIND_SUPER_RESOLUTION)}

    assert set(found) == {"pixels", "latents"}
    assert {(model.factor, model.width_px) for model in found.values()} == {(4, 32)}
    assert {model.factor for model in client.list_models() if model.name not in found} == {0}


@pytest.mark.parametrize("enlarger", ["pixels", "latents"])
def test_drawing_and_enlarging_at_once_equals_one_after_the_other(
    client: Suti, service: GenerationProcess, enlarger: str
) -> None:
    request = generate_request("a mug", model="base", count=2, seed=4, enlarge_with=[enlarger])

    at_once, again = client.generate(request), client.generate(request)
    alone = client.generate(generate_request("a mug", model="base", count=2, seed=4))
    after = client.generate(generate_request("a mug", seed=4, enlarge_with=[enlarger], pictures=sent(alone)))

    assert sizes(alone) == [(DRAWN_PX, DRAWN_PX)] * 2
    assert sizes(at_once) == [(4 * DRAWN_PX, 4 * DRAWN_PX)] * 2
    assert hashes(at_once) == hashes(after)
    assert again.replayed
    assert hashes(again) == hashes(at_once)
    assert [one.name for one in at_once.enlarged_with] == [enlarger]
    assert at_once.timings.enlarging.ToNanoseconds() > 0 == alone.timings.enlarging.ToNanoseconds()
    assert (at_once.model.name, after.model.name) == ("base", "")
    record = json.loads(service.store.get(keys.drawn(after.provenance_id, "record.json")))
    assert [used["model"] for used in record["enlarged_with"]] == [enlarger]
    assert record["given_sha256"] == hashes(alone)


def test_a_drawn_subject_is_enlarged_and_other_seeds_give_other_pictures(client: Suti) -> None:
    request = generate_request(
        "a mug at sea", model="warmstart", demonstrations=demonstrations(2), count=3, seed=9, enlarge_with=["pixels"]
    )

    answer = client.generate(request)

    assert sizes(answer) == [(4 * DRAWN_PX, 4 * DRAWN_PX)] * 3
    assert len(set(hashes(answer))) == 3


def test_a_given_picture_is_enlarged_once_and_twice(client: Suti) -> None:
    small = [Picture(content=picture(3, size_px=8))]

    once = client.generate(generate_request("", seed=1, enlarge_with=["pixels"], pictures=small))
    twice = client.generate(generate_request("", seed=1, enlarge_with=["pixels", "latents"], pictures=small))
    rest = client.generate(generate_request("", seed=1, enlarge_with=["latents"], pictures=sent(once)))

    assert (sizes(once), sizes(twice)) == ([(32, 32)], [(128, 128)])
    assert hashes(rest) == hashes(twice)
    assert [one.name for one in twice.enlarged_with] == ["pixels", "latents"]


def test_a_stream_counts_the_steps_of_all_stages_and_previews_drawing_alone(client: Suti) -> None:
    request = generate_request("a mug", model="base", steps=4, count=5, preview_steps=2, enlarge_with=["pixels"])

    events = list(client.generate_stream(request))

    steps = [(event.step.step, event.step.steps) for event in events if event.HasField("step")]
    assert [step for step, _ in steps] == list(range(1, 11))
    assert {total for _, total in steps} == {4 + 2 * 3}  # five pictures are enlarged four at a time
    previews = [event.preview for event in events if event.HasField("preview")]
    assert [preview.step for preview in previews] == [2]
    assert sizes(events[-1].result) == [(4 * DRAWN_PX, 4 * DRAWN_PX)] * 5


def test_a_batch_enlarges_too(client: Suti) -> None:
    good = generate_request("a mug", model="base", steps=2, enlarge_with=["pixels"])
    bad = generate_request("a mug", model="base", steps=2, enlarge_with=["nothing"])

    result = client.generate_batch([good, bad]).wait(timeout_s=60)

    assert sizes(result.items[0].response) == [(4 * DRAWN_PX, 4 * DRAWN_PX)]
    assert "nothing" in result.items[1].error.message


def test_the_noise_level_changes_what_is_drawn(client: Suti) -> None:
    small = [Picture(content=picture(3, size_px=8))]

    def enlarged(noise_level: int | None) -> list[str]:
        request = generate_request("", seed=1, enlarge_with=["pixels"], pictures=small, noise_level=noise_level)
        return hashes(client.generate(request))

    assert enlarged(None) == enlarged(30)
    assert enlarged(0) != enlarged(30)


def given(*sides: int) -> Sequence[Picture]:
    return [Picture(content=picture(side, size_px=side)) for side in sides]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"enlarge_with": ["pixels", "latents"], "model": "base"}, "SIZE_DOES_NOT_FIT"),
        ({"enlarge_with": ["pixels"], "pictures": given(40)}, "SIZE_DOES_NOT_FIT"),
        ({"enlarge_with": ["base"], "model": "base"}, "UNKNOWN_MODEL"),
        ({"enlarge_with": ["runs/01H00000000000000000000000"], "model": "base"}, "UNKNOWN_MODEL"),
        ({"enlarge_with": ["../pixels"], "model": "base"}, "UNKNOWN_MODEL"),
        ({"enlarge_with": [""], "model": "base"}, "UNKNOWN_MODEL"),
        ({"model": "pixels"}, "UNKNOWN_MODEL"),
        ({"enlarge_with": ["pixels"] * 4, "model": "base"}, "TOO_MANY_ENLARGEMENTS"),
        ({"enlarge_with": ["pixels"], "model": "base", "noise_level": 1000}, "NOISE_LEVEL_OUT_OF_RANGE"),
        ({"enlarge_with": ["latents"], "model": "base", "noise_level": 351}, "NOISE_LEVEL_OUT_OF_RANGE"),
        ({"noise_level": 3, "model": "base"}, "ENLARGE_WITH_MISSING"),
        ({"pictures": given(8)}, "ENLARGE_WITH_MISSING"),
        ({"pictures": given(8), "enlarge_with": ["pixels"], "model": "base"}, "DRAWS_NOTHING"),
        ({"pictures": given(8), "enlarge_with": ["pixels"], "guidance": 0.0}, "DRAWS_NOTHING"),
        ({"pictures": given(8), "enlarge_with": ["pixels"], "subject_id": "01H"}, "DRAWS_NOTHING"),
        ({"pictures": given(8), "enlarge_with": ["pixels"], "count": 2}, "PICTURE_COUNT_OUT_OF_RANGE"),
        ({"pictures": given(*[8] * 17), "enlarge_with": ["pixels"]}, "PICTURE_COUNT_OUT_OF_RANGE"),
        ({"pictures": given(8, 9), "enlarge_with": ["pixels"]}, "PICTURES_DIFFER"),
        ({"pictures": [Picture(content=b"no picture")], "enlarge_with": ["pixels"]}, "PICTURE_NOT_A_PICTURE"),
        ({"pictures": [Picture()], "enlarge_with": ["pixels"]}, "INVALID_ARGUMENT"),
        ({"pictures": [Picture(store_key="runs/x.png")], "enlarge_with": ["pixels"]}, "STORE_KEY_REFUSED"),
    ],
)  # fmt: skip
def test_chains_that_do_not_fit_are_refused_each_with_its_reason(
    client: Suti, changes: dict[str, object], reason: str
) -> None:
    fields: dict[str, object] = {"request_id": str(uuid.uuid4()), "prompt": "a mug"} | changes

    with pytest.raises(RemoteError) as error:
        client.generate(pb.GenerateRequest(**fields))  # pyright: ignore[reportArgumentType] - wrong on purpose

    assert error.value.reason == reason
    assert ":" in str(error.value)  # a remedy follows what is wrong
