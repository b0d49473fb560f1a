"""Which pictures of which pages stay, for many pages at once: arrays in, arrays out.

Legend: P pages, M pictures of all of them, page after page.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from suti.core import ids

_ID_BYTES = 64  # hex digits of a picture id
_LENGTH_PREFIX = _ID_BYTES.to_bytes(8, "big")  # as suti.core.ids writes it before each id


class Verdict(IntEnum):
    """What becomes of one picture of one page."""

    KEPT = 0
    DUPLICATE_EXACT = 1
    DUPLICATE_NEAR = 2
    PAGE_TOO_FEW_PICTURES = 3


@dataclass(frozen=True, slots=True)
class PagePictures:
    """The pictures of P pages; page p has rows `starts[p]` to `starts[p + 1]`."""

    starts: NDArray[np.int64]  # P + 1
    picture_ids: Sequence[str]  # M
    phashes: NDArray[np.uint64]  # M
    picture_urls: Sequence[str]  # M
    alt_texts: Sequence[str]  # M


def judge(pages: PagePictures, *, near_bits: int, min_pictures: int) -> NDArray[np.uint8]:
    """The verdict on each picture (M).

    Of equal ids the first by (URL, alt text) stays. A picture is a near duplicate if one with a smaller id on its page
    is within `near_bits`, also when that one goes itself: so the order of rows decides nothing. On pages that are left
    with fewer than `min_pictures`, the rest goes too.
    """
    verdicts = np.zeros(len(pages.phashes), dtype=np.uint8)
    for page in _suspects(pages, near_bits):
        rows = slice(int(pages.starts[page]), int(pages.starts[page + 1]))
        verdicts[rows] = judge_page(
            pages.picture_ids[rows],
            pages.phashes[rows],
            pages.picture_urls[rows],
            pages.alt_texts[rows],
            near_bits=near_bits,
        )
    kept_before = np.concatenate([[0], np.cumsum(verdicts == Verdict.KEPT)])
    kept = kept_before[pages.starts[1:]] - kept_before[pages.starts[:-1]]
    too_few = np.repeat(kept < min_pictures, np.diff(pages.starts))
    verdicts[too_few & (verdicts == Verdict.KEPT)] = Verdict.PAGE_TOO_FEW_PICTURES
    return verdicts


def judge_page(
    picture_ids: Sequence[str],
    phashes: NDArray[np.uint64],
    picture_urls: Sequence[str],
    alt_texts: Sequence[str],
    *,
    near_bits: int,
) -> NDArray[np.uint8]:
    """The verdicts on one page's pictures, before anybody counts them."""
    order = sorted(range(len(picture_ids)), key=lambda row: (picture_ids[row], picture_urls[row], alt_texts[row]))
    verdicts = np.zeros(len(order), dtype=np.uint8)
    sorted_hashes = phashes[order]
    for place, row in enumerate(order):
        if place and picture_ids[order[place - 1]] == picture_ids[row]:
            verdicts[row] = Verdict.DUPLICATE_EXACT
        elif place and (np.bitwise_count(sorted_hashes[:place] ^ sorted_hashes[place]) <= near_bits).any():
            verdicts[row] = Verdict.DUPLICATE_NEAR
    return verdicts


def cluster_ids(pages: PagePictures, page_urls: Sequence[str], verdicts: NDArray[np.uint8]) -> list[str | None]:
    """The cluster id of each page (P), None where nothing of it is kept. Page URLs are canonical.

    Equal to `suti.core.ids.cluster_id`, which it only spares the canonical URL and most of Python.
    """
    named = [bool(name) for name in _kept_pages(pages, verdicts)]
    kept = verdicts == Verdict.KEPT
    if not all(len(name) == _ID_BYTES for name in pages.picture_ids):
        return [
            ids.cluster_id(url, _kept_ids(pages, page, kept)) if has else None
            for page, (url, has) in enumerate(zip(page_urls, named, strict=True))
        ]
    encoded = [_LENGTH_PREFIX + name.encode() for name in pages.picture_ids]
    whole_pages = bool(kept.all())
    made: list[str | None] = []
    for page, (url, has) in enumerate(zip(page_urls, named, strict=True)):
        if not has:
            made.append(None)
            continue
        first, last = int(pages.starts[page]), int(pages.starts[page + 1])
        rows = encoded[first:last]
        if not whole_pages:
            rows = [row for row, stays in zip(rows, kept[first:last].tolist(), strict=True) if stays]
        raw = url.encode()
        made.append(hashlib.sha256(len(raw).to_bytes(8, "big") + raw + b"".join(sorted(rows))).hexdigest())
    return made


def _suspects(pages: PagePictures, near_bits: int) -> NDArray[np.int64]:
    """The pages with two pictures that are equal or near. Compares each picture with the next, the one after, ..."""
    lengths = np.diff(pages.starts)
    page_of = np.repeat(np.arange(len(lengths)), lengths)
    ends = np.repeat(pages.starts[1:], lengths)
    suspect = np.zeros(len(lengths), dtype=bool)
    rows = np.arange(len(page_of))
    for distance in range(1, int(lengths.max(initial=0))):
        rows = rows[(rows + distance < ends[rows]) & ~suspect[page_of[rows]]]
        if not len(rows):
            break
        # Equal pictures have equal hashes, so this finds both kinds.
        close = np.bitwise_count(pages.phashes[rows] ^ pages.phashes[rows + distance]) <= near_bits
        suspect[page_of[rows[close]]] = True
    return np.flatnonzero(suspect)


def _kept_pages(pages: PagePictures, verdicts: NDArray[np.uint8]) -> NDArray[np.bool_]:
    kept_before = np.concatenate([[0], np.cumsum(verdicts == Verdict.KEPT)])
    return kept_before[pages.starts[1:]] > kept_before[pages.starts[:-1]]


def _kept_ids(pages: PagePictures, page: int, kept: NDArray[np.bool_]) -> list[str]:
    rows = range(int(pages.starts[page]), int(pages.starts[page + 1]))
    return [pages.picture_ids[row] for row in rows if kept[row]]
