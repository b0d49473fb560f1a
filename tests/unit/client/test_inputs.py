"""What callers hold becomes messages; what cannot is refused before anything is sent."""

from pathlib import Path

import pytest

from suti.client.inputs import demonstration, picture, run_order, sampler
from suti.client.requests.generation import generate_request
from suti.client.requests.pipeline import drop_dead_letters
from suti.core.errors import InvalidArgument
from suti.core.limits import PICTURE_BYTES


def test_a_picture_is_read_from_a_file_or_taken_as_bytes(tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(b"png")

    assert demonstration(tmp_path / "cat.png", "a cat") == demonstration(b"png", "a cat")


@pytest.mark.parametrize("size", [0, PICTURE_BYTES + 1])
def test_an_empty_or_huge_picture_is_refused(size: int) -> None:
    with pytest.raises(InvalidArgument, match="shrink it first"):
        demonstration(bytes(size))


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(InvalidArgument, match="seed"):
        run_order("crawl", seed=seed)
    with pytest.raises(InvalidArgument, match="seed"):
        generate_request("a cat", seed=seed)


def test_a_name_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(InvalidArgument, match=r"ddpm, ddim, dpmsolver\+\+, unipc"):
        sampler("euler")  # pyright: ignore[reportArgumentType] - the wrong name is the point


def test_overrides_that_are_no_json_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="overrides"):
        run_order("crawl", changes={"experts": {"steps": object()}})


def test_dropping_dead_letters_needs_letters_or_a_run() -> None:
    with pytest.raises(InvalidArgument, match="all of its letters"):
        drop_dead_letters()


def test_what_is_left_to_the_model_is_left_unset() -> None:
    request = generate_request("a cat", request_id="x")

    assert not request.HasField("seed")
    assert not request.HasField("guidance")
    assert request.WhichOneof("subject") is None


def test_one_name_to_enlarge_with_is_no_sequence_of_letters() -> None:
    assert list(generate_request("a cat", enlarge_with="superres").enlarge_with) == ["superres"]
    assert list(generate_request("a cat", enlarge_with=["one", "two"]).enlarge_with) == ["one", "two"]
    assert list(generate_request("a cat", enlarge_with="").enlarge_with) == []


def test_pictures_that_are_given_decide_how_many_there_are() -> None:
    request = generate_request("", pictures=[picture(b"png"), picture(b"png")], enlarge_with="superres", noise_level=0)

    assert (request.count, len(request.pictures)) == (0, 2)
    assert request.HasField("noise_level")
    assert not generate_request("a cat").HasField("noise_level")
