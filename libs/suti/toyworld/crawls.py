"""Crawls of the toy world, and, in a file apart, what is true of them.

Only evaluation may open the truth: no stage, captioner or filter is ever given its path.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from suti.toyworld.img2dataset import write_img2dataset
from suti.toyworld.pages import Fault, Page, PageKind, draw_pages
from suti.toyworld.subjects import Subject
from suti.toyworld.warc import write_warc


@dataclass(frozen=True)
class CrawlFacts:
    """What a drawn crawl holds."""

    pages: int
    good_pages: int
    pictures: int
    faulty_pictures: int


def draw_crawl(path: Path, *, truth_path: Path, pages: int = 80, seed: int = 0, size_px: int = 64) -> CrawlFacts:
    """Draw a crawl into a `.warc.gz`; the same arguments give the same bytes.

    Raises:
        InvalidArgument: `pages` or `size_px` too small.
    """
    truth = _Truth()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_warc(path, truth.noting(draw_pages(pages=pages, seed=seed, size_px=size_px)))
    return truth.write(truth_path)


def draw_img2dataset(
    folder: Path, *, truth_path: Path, pages: int = 80, seed: int = 0, size_px: int = 64, pairs_per_shard: int = 256
) -> CrawlFacts:
    """The same pages as `draw_crawl` as an img2dataset folder (Parquet and tar shards)."""
    truth = _Truth()
    drawn = truth.noting(draw_pages(pages=pages, seed=seed, size_px=size_px))
    write_img2dataset(folder, drawn, pairs_per_shard=pairs_per_shard)
    return truth.write(truth_path)


def subjects_of_pages(truth_path: Path) -> dict[str, Subject]:
    """Whom each page is about, by page URL; pages about nobody in particular are left out."""
    pages = json.loads(truth_path.read_text(encoding="utf-8"))["pages"]
    return {page["url"]: Subject(**page["subject"]) for page in pages if page["subject"] is not None}


class _Truth:
    """Notes what passes by."""

    def __init__(self) -> None:
        self._pages: list[dict[str, object]] = []
        self._good = self._pictures = self._faulty = 0

    def noting(self, pages: Iterable[Page]) -> Iterator[Page]:
        for page in pages:
            self._good += page.kind is PageKind.GOOD
            self._pictures += len(page.pictures)
            self._faulty += sum(picture.fault is not Fault.NONE for picture in page.pictures)
            self._pages.append(
                {
                    "url": page.url,
                    "kind": page.kind,
                    "subject": asdict(page.subject) if page.subject else None,
                    "pictures": [
                        {
                            "url": picture.url,
                            "fault": picture.fault,
                            "subject": asdict(picture.subject) if picture.subject else None,
                            "view": asdict(picture.view) if picture.view else None,
                        }
                        for picture in page.pictures
                    ],
                }
            )
            yield page

    def write(self, path: Path) -> CrawlFacts:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"pages": self._pages}, indent=1) + "\n", encoding="utf-8")
        return CrawlFacts(len(self._pages), self._good, self._pictures, self._faulty)
