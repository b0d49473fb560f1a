import hashlib
from collections.abc import Sequence

import numpy as np
import pytest

from suti.core import ids
from suti.ml.clusters.page_verdicts import PagePictures, Verdict, cluster_ids, judge

K, E, N, F = Verdict.KEPT, Verdict.DUPLICATE_EXACT, Verdict.DUPLICATE_NEAR, Verdict.PAGE_TOO_FEW_PICTURES
FAR = [0x0, 0xFF00, 0xFF0000, 0xFF00_0000_0000]  # 8 or more bits apart


def _pages(*pages: Sequence[tuple[str, int]]) -> PagePictures:
    """Pages of (picture, perceptual hash)."""
    rows = [row for page in pages for row in page]
    return PagePictures(
        starts=np.concatenate([[0], np.cumsum([len(page) for page in pages])]).astype(np.int64),
        picture_ids=[name * 64 for name, _ in rows],
        phashes=np.array([phash for _, phash in rows], dtype=np.uint64),
        picture_urls=[f"https://a.example/{index}" for index in range(len(rows))],
        alt_texts=[""] * len(rows),
    )


def _judge(*pages: Sequence[tuple[str, int]], least: int = 1) -> list[int]:
    return judge(_pages(*pages), near_bits=4, min_pictures=least).tolist()


def test_different_pictures_stay() -> None:
    assert _judge(list(zip("abcd", FAR, strict=True))) == [K, K, K, K]


def test_of_equal_pictures_the_first_address_stays() -> None:
    assert _judge([("b", 0), ("a", 0xFF00), ("b", 0)]) == [K, K, E]


@pytest.mark.parametrize(("other", "verdict"), [(0b1111, N), (0b11111, K), (0b1111 << 60, N)])
def test_four_bits_are_near_and_five_are_not(other: int, verdict: Verdict) -> None:
    assert _judge([("a", 0), ("b", other)]) == [K, verdict]


def test_of_near_pictures_the_smaller_id_stays_wherever_it_stands() -> None:
    assert _judge([("b", 0), ("c", 0xFF00), ("a", 1)]) == [N, K, K]


def test_what_is_near_to_a_dropped_one_goes_too_so_that_order_decides_nothing() -> None:
    # a - b and b - c are 4 bits apart, a - c 8.
    assert _judge([("a", 0), ("b", 0xF), ("c", 0xFF)]) == [K, N, N]
    assert _judge([("c", 0xFF), ("b", 0xF), ("a", 0)]) == [N, N, K]


def test_pages_do_not_see_one_another() -> None:
    assert _judge([("a", 0)], [("a", 0)], [("b", 1)]) == [K, K, K]


def test_a_page_with_too_few_left_loses_the_rest() -> None:
    full = [("a", FAR[0]), ("b", FAR[1]), ("c", FAR[2])]

    assert _judge(full, [("a", FAR[0]), ("b", FAR[1]), ("a", FAR[0])], least=3) == [K, K, K, F, F, E]


def test_no_pages_are_no_verdicts() -> None:
    assert _judge() == []


@pytest.mark.parametrize("length", [64, 7])
def test_cluster_ids_are_the_cores_own(length: int) -> None:
    pages = _pages([("b", FAR[0]), ("a", FAR[1]), ("b", FAR[0])], [("d", FAR[0])], [("c", FAR[0]), ("a", FAR[1])])
    names = [hashlib.sha256(name.encode()).hexdigest()[:length] for name in pages.picture_ids]
    named = PagePictures(pages.starts, names, pages.phashes, pages.picture_urls, pages.alt_texts)
    urls = ["https://a.example/1", "https://a.example/2?q=1", "https://b.example/"]

    verdicts = judge(named, near_bits=4, min_pictures=2)

    assert cluster_ids(named, urls, verdicts) == [
        ids.cluster_id(urls[0], {names[0], names[1]}),
        None,
        ids.cluster_id(urls[2], names[4:]),
    ]
