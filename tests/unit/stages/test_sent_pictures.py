import os
from pathlib import Path

import pytest

from suti.api.types.v1.types_pb2 import Demonstration, Picture
from suti.core.errors import InvalidArgument
from suti.infra.store import Store
from suti.stages.generation.subjects import DemonstrationCount
from suti.stages.sent_pictures import StoreKeyRefused, open_sent
from suti_generation.convert import sources_from_proto
from tests.unit.stages.shards import noise, png


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(f"file://{tmp_path}/store")


@pytest.mark.parametrize("key", ["runs/R/grouping/000000/parts/F/00.png", "requests/x.png", "drawn", "dead/L.json"])
def test_a_key_that_no_answer_names_is_not_read(store: Store, key: str) -> None:
    store.put(key, png(noise(1)))

    with pytest.raises(StoreKeyRefused, match="an answer named"):
        open_sent(Picture(store_key=key), store, field="picture")


@pytest.mark.parametrize("folder", ["drawn", "subjects", "operations"])
def test_pictures_that_answers_name_may_be_sent_by_key(store: Store, folder: str) -> None:
    store.put(f"{folder}/x/00.png", png(noise(1)))

    assert open_sent(Picture(store_key=f"{folder}/x/00.png"), store, field="picture").size == (16, 16)


def test_an_object_larger_than_any_picture_is_never_read(store: Store, tmp_path: Path) -> None:
    store.put("drawn/x/00.png", b"")
    os.truncate(tmp_path / "store" / "drawn" / "x" / "00.png", 2**40)  # nobody has the memory for it

    with pytest.raises(InvalidArgument) as refusal:
        open_sent(Picture(store_key="drawn/x/00.png"), store, field="picture")

    assert refusal.value.reason == "PICTURE_TOO_LARGE"


def test_too_many_demonstrations_are_refused_before_one_is_read(store: Store) -> None:
    with pytest.raises(DemonstrationCount):
        sources_from_proto([Demonstration(picture=Picture(store_key="drawn/x/nothing.png"))] * 11, store)
