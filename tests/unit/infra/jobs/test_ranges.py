import pytest

from suti.infra.jobs.ranges import ranges_at, ranges_from, ranges_size, ranges_text


@pytest.mark.parametrize(
    ("numbers", "text"),
    [((), ""), ((0,), "0"), ((0, 1), "0-1"), ((0, 1, 2, 7), "0-2,7"), ((3, 5, 6, 9, 10, 11), "3,5-6,9-11")],
)
def test_numbers_are_written_as_kubernetes_writes_completed_indexes(numbers: tuple[int, ...], text: str) -> None:
    assert ranges_text(numbers) == text
    assert ranges_from(text) == numbers
    assert ranges_size(text) == len(numbers)
    assert [ranges_at(text, place) for place in range(len(numbers))] == list(numbers)


def test_a_place_that_there_is_not_is_said() -> None:
    with pytest.raises(IndexError):
        ranges_at("0-2,7", 4)


@pytest.mark.parametrize("text", ["a", "1-b", "-"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        ranges_from(text)
