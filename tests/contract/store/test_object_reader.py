import io
import os
import random

import pytest

from suti.infra.object_reader import ObjectReader
from suti.infra.store import ObjectMissing, Store

DATA = random.Random(7).randbytes(1000)


@pytest.fixture
def reader(store: Store) -> ObjectReader:
    store.put("crawls/one", DATA)
    return ObjectReader(store, "crawls/one", block_bytes=64)


def test_steps_of_any_size_and_direction_read_what_a_file_would(reader: ObjectReader) -> None:
    file, dice = io.BytesIO(DATA), random.Random(1)

    for _ in range(200):
        place, size = dice.randrange(1100), dice.randrange(300)
        assert reader.seek(place) == file.seek(place)
        assert reader.read(size) == file.read(size)
        assert reader.tell() == file.tell()


def test_it_is_read_from_the_end_and_to_the_end(reader: ObjectReader) -> None:
    assert reader.seek(-10, os.SEEK_END) == 990
    assert reader.read() == DATA[990:]
    assert reader.read(5) == b""
    reader.seek(-20, os.SEEK_CUR)
    assert reader.read(None) == DATA[980:]
    with pytest.raises(ValueError, match="seek to 0"):
        reader.seek(-1)


def test_what_is_not_there_is_no_empty_file(store: Store) -> None:
    with pytest.raises(ObjectMissing):
        ObjectReader(store, "crawls/none")


def test_what_goes_while_it_is_read_is_no_end_of_file(store: Store, reader: ObjectReader) -> None:
    reader.read(10)
    store.delete("crawls/one")

    with pytest.raises(ObjectMissing):
        reader.read(100)
