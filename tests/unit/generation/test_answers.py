"""Which pictures stand in an answer, which are named by it, and who may read those."""

import io
import random
from pathlib import Path

import pytest
from PIL import Image

from suti.api.generation.v1 import generation_pb2 as pb
from suti.core import keys
from suti.core.errors import SutiError
from suti.core.ids import new_request_id
from suti.core.limits import MESSAGE_BYTES
from suti.infra.requests import RequestLedger
from suti.infra.store import Store
from suti.stages.generation.entries import FALLBACK_SAMPLING, ModelEntry, ModelKind
from suti.stages.generation.painter import Painted
from suti.stages.generation.studio import Drawn
from suti_generation.answers import Answers, read_picture

MODEL = ModelEntry(name="m", kind=ModelKind.BASE, sha256="0" * 64, size_px=1024, sampling=FALLBACK_SAMPLING)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(f"file://{tmp_path}/store")


def noise(seed: int) -> Image.Image:
    """A picture that no PNG makes smaller: 3 MiB."""
    return Image.frombytes("RGB", (1024, 1024), random.Random(seed).randbytes(3 * 2**20))


def answer(store: Store, *, count: int) -> pb.GenerateResponse:
    pictures = tuple(noise(seed) for seed in range(count))
    painted = Painted(pictures=pictures, queued_s=0.0, encode_s=0.0, draw_s=0.0)
    drawn = Drawn(model=MODEL, seeds=tuple(range(count)), subject_digest="", painted=painted)
    request = pb.GenerateRequest(request_id=new_request_id(), prompt="noise")
    return Answers(store, RequestLedger(store, "generation")).keep(request, 0, drawn, total_s=0.0)


def test_pictures_stand_in_the_answer_as_long_as_a_message_holds_them(store: Store) -> None:
    told = answer(store, count=4)  # 12 MiB

    assert all(picture.png and not picture.store_key for picture in told.pictures)
    assert told.ByteSize() < MESSAGE_BYTES


def test_pictures_beyond_that_are_named_and_can_be_read_by_that_name(store: Store) -> None:
    told = answer(store, count=5)  # 15 MiB and the PNGs' own few bytes

    assert not any(picture.png for picture in told.pictures)
    png = read_picture(store, told.pictures[4].store_key)
    assert Image.open(io.BytesIO(png)).tobytes() == noise(4).tobytes()


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (keys.run_spec("R"), "STORE_KEY_REFUSED"),
        (keys.operation_part("O", "request.bin"), "STORE_KEY_REFUSED"),
        (keys.drawn("R", "record.json"), "STORE_KEY_REFUSED"),
        (keys.part("R", "experts", 0, "fence", "00.png"), "STORE_KEY_REFUSED"),
        ("drawn/../subjects/S/00.png", "BAD_KEY"),
        (keys.drawn("R", "00.png"), "OBJECT_MISSING"),
    ],
)
def test_nothing_else_can_be_read(store: Store, key: str, reason: str) -> None:
    with pytest.raises(SutiError) as refused:
        read_picture(store, key)

    assert refused.value.reason == reason
