from pathlib import Path

import grpc
import pytest

from suti.cli.pictures import demonstrations, named, plain_pictures
from suti.client.errors import RemoteRefusal
from suti.core.errors import InvalidArgument


def files(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"{index}.png" for index in range(count)]
    for path in paths:
        path.write_bytes(b"picture")
    return paths


def test_captions_are_none_or_one_for_all_or_one_for_each(tmp_path: Path) -> None:
    paths = files(tmp_path, 2)

    assert [one.caption for one in demonstrations(paths)] == ["", ""]
    assert [one.caption for one in demonstrations(paths, ["a cup"])] == ["a cup", "a cup"]
    assert [one.caption for one in demonstrations(paths, ["a cup", "a mug"])] == ["a cup", "a mug"]
    with pytest.raises(InvalidArgument, match="3 for 2 pictures: give one, or one for each"):
        demonstrations(paths, ["a", "b", "c"])


def test_a_file_that_cannot_be_sent_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()

    with pytest.raises(InvalidArgument, match=r"empty\.jpg: 0 bytes"):
        demonstrations([tmp_path / "empty.jpg"])
    with pytest.raises(InvalidArgument, match="can be read"):
        demonstrations([tmp_path])  # a folder


def test_a_service_complains_of_files_and_not_of_their_numbers(tmp_path: Path) -> None:
    paths = files(tmp_path, 2)

    with pytest.raises(RemoteRefusal) as raised, named(paths):
        raise RemoteRefusal("demonstrations[1].picture: no picture", code=grpc.StatusCode.INVALID_ARGUMENT)

    assert str(raised.value) == f"{paths[1]}: no picture"


def test_pictures_to_enlarge_are_sent_without_captions_and_named_like_others(tmp_path: Path) -> None:
    paths = files(tmp_path, 2)

    assert [one.content for one in plain_pictures(paths)] == [b"picture", b"picture"]
    with pytest.raises(RemoteRefusal) as raised, named(paths):
        raise RemoteRefusal("pictures[1]: no picture", code=grpc.StatusCode.INVALID_ARGUMENT)
    assert str(raised.value) == f"{paths[1]}: no picture"
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(InvalidArgument, match=r"empty\.jpg: 0 bytes"):
        plain_pictures([tmp_path / "empty.jpg"])
