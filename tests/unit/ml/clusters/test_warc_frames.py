import gzip
import io

import pytest

from suti.ml.clusters.warc_frames import Damage, Frame, frames
from tests.unit.ml.clusters.crawls import Answer, warc

ANSWERS = [Answer(f"https://a.example/{index}", bytes([65 + index]) * (500 + index)) for index in range(5)]
LIMIT = 100_000


def _read(data: bytes, *, limit: int = LIMIT) -> tuple[list[bytes], list[Damage]]:
    """The first letter of each record's payload, and the damage."""
    items = list(frames(io.BytesIO(data), max_block_bytes=limit))
    return [item.block[-1:] for item in items if isinstance(item, Frame)], [i for i in items if isinstance(i, Damage)]


def _member_offsets(data: bytes) -> list[int]:
    return [place for place in range(len(data)) if data[place : place + 4] == b"\x1f\x8b\x08\x00"]


@pytest.mark.parametrize("compressed", [True, False])
def test_every_record_of_a_sound_file_is_found(compressed: bool) -> None:
    assert _read(warc(ANSWERS, gzip=compressed)) == ([b"A", b"B", b"C", b"D", b"E"], [])


def test_a_file_that_was_compressed_as_one_is_read_too() -> None:
    assert _read(gzip.compress(warc(ANSWERS, gzip=False))) == ([b"A", b"B", b"C", b"D", b"E"], [])


@pytest.mark.parametrize("compressed", [True, False])
def test_a_file_that_ends_within_a_record_loses_that_record(compressed: bool) -> None:
    data = warc(ANSWERS, gzip=compressed)

    records, damage = _read(data[:-100])

    assert records == [b"A", b"B", b"C", b"D"]
    assert len(damage) == 1


def test_a_damaged_gzip_member_costs_its_record_alone() -> None:
    data = bytearray(warc(ANSWERS))
    third = _member_offsets(bytes(data))[2]
    data[third + 40 : third + 80] = bytes(40)

    records, damage = _read(bytes(data))

    assert records == [b"A", b"B", b"D", b"E"]
    assert [item.offset for item in damage] == [third]


def test_a_payload_that_does_not_match_its_checksum_is_told() -> None:
    data = warc(ANSWERS, gzip=False).replace(b"C" * 502, b"C" * 501 + b"x")

    records, damage = _read(data)

    assert records == [b"A", b"B", b"D", b"E"]
    assert "checksum" in damage[0].detail


@pytest.mark.parametrize("wrong", [b"9", b"99999"])
def test_a_record_with_a_wrong_length_does_not_swallow_the_next(wrong: bytes) -> None:
    data = warc(ANSWERS, gzip=False)
    place = data.index(b"WARC/1.0", data.index(b"B" * 501))
    length = data.index(b"\r\nContent-Length: ", place) + len(b"\r\nContent-Length: ")
    end = data.index(b"\r\n", length)

    records, damage = _read(data[:length] + wrong + data[end:])

    assert records == [b"A", b"B", b"D", b"E"]
    assert len(damage) == 1


def test_rubbish_between_records_is_stepped_over() -> None:
    first, rest = warc(ANSWERS[:1]), warc(ANSWERS[1:])

    records, _ = _read(first + b"rubbish" * 50 + rest)

    assert records == [b"A", b"B", b"C", b"D", b"E"]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"hello", id="text"),
        pytest.param(b"x" * 300_000, id="long"),
        pytest.param(gzip.compress(b"hello" * 1000), id="gzip of text"),  # its header holds the time
        pytest.param(b"\x1f\x8b\x08", id="gzip cut short"),
    ],
)
def test_a_file_that_is_no_warc_is_one_damage(data: bytes) -> None:
    records, damage = _read(data)

    assert records == []
    assert len(damage) == 1


@pytest.mark.parametrize("compressed", [True, False])
def test_a_block_beyond_the_limit_is_stepped_over_with_its_size(compressed: bool) -> None:
    large = Answer("https://a.example/large", b"L" * 300_000)
    data = warc([ANSWERS[0], large, ANSWERS[1]], gzip=compressed)

    items = [item for item in frames(io.BytesIO(data), max_block_bytes=LIMIT) if isinstance(item, Frame)]

    assert [item.skipped_bytes > 300_000 for item in items] == [False, True, False]
    assert items[2].block.endswith(b"B")
