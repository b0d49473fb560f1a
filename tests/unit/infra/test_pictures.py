"""Pictures in tar: found by offset, readable by any tar, the same bytes every time."""

import io
import tarfile

import pytest

from suti.core.errors import InvalidArgument
from suti.infra.pictures import PictureOutsideTar, PictureTarWriter, read_picture

PICTURES = {
    "a.png": b"\x89PNG small",
    "b/empty.png": b"",
    "exact.png": b"x" * 512,
    "c" * 200 + ".png": b"y" * 513,  # a name longer than a tar header's 100 bytes
    "猫.png": b"z" * 100_000,
}


def write(pictures: dict[str, bytes]) -> tuple[bytes, dict[str, tuple[int, int]]]:
    writer = PictureTarWriter()
    places = {name: writer.add(name, png) for name, png in pictures.items()}
    return writer.finish(), places


def test_each_picture_is_found_at_the_place_that_was_told() -> None:
    tar, places = write(PICTURES)

    assert {name: read_picture(tar, *place) for name, place in places.items()} == PICTURES


def test_any_tar_program_lists_and_reads_the_pictures() -> None:
    tar, places = write(PICTURES)

    with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as opened:
        members = opened.getmembers()
        assert {member.name: opened.extractfile(member).read() for member in members} == PICTURES  # pyright: ignore[reportOptionalMemberAccess]
    assert {member.name: (member.offset_data, member.size) for member in members} == places


def test_the_same_pictures_make_the_same_tar_without_time_or_owner() -> None:
    tar, _ = write(PICTURES)

    assert write(dict(PICTURES))[0] == tar
    with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as opened:
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in opened.getmembers()} == {(0, 0, 0, "", "")}


def test_no_pictures_are_a_tar_too() -> None:
    tar, _ = write({})

    with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as opened:
        assert opened.getmembers() == []


def test_a_picture_added_twice_is_stored_once() -> None:
    writer = PictureTarWriter()
    place = writer.add("a.png", b"same")

    assert writer.add("a.png", b"same") == place
    with pytest.raises(InvalidArgument, match="holds another picture"):
        writer.add("a.png", b"other")
    with pytest.raises(InvalidArgument, match="is empty"):
        writer.add("", b"nameless")


@pytest.mark.parametrize(("offset", "size_bytes"), [(-1, 2), (0, -1), (10**9, 1), (512, 10**9)])
def test_a_place_outside_the_tar_is_refused(offset: int, size_bytes: int) -> None:
    tar, _ = write(PICTURES)

    with pytest.raises(PictureOutsideTar, match="write its shard anew"):
        read_picture(tar, offset, size_bytes)
