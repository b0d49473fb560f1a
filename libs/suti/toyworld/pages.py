"""What a drawn web looks like, before it is written in any format: pages, their pictures, and what is wrong with them.

Everything follows from (seed, pages, size_px). The shares of page kinds are exact, not a matter of chance, so that a
crawl of 80 pages always has 56 good ones.
"""

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import torch
from PIL import Image

from suti.core.errors import InvalidArgument
from suti.core.seeds import derive_seed
from suti.toyworld import alt_texts, encoding
from suti.toyworld.captions import name
from suti.toyworld.render import render
from suti.toyworld.seeds import Namespace, subject_of, view_seed
from suti.toyworld.subjects import Subject
from suti.toyworld.views import View, draw_view


class PageKind(StrEnum):
    """What a page is good for."""

    GOOD = "good"  # three to ten pictures of one subject, perhaps with some noise among them
    FEW = "few"  # one or two pictures
    STRANGERS = "strangers"  # a gallery: every picture shows somebody else
    COPIES = "copies"  # one picture again and again, resized and re-encoded
    BROKEN = "broken"  # nothing that can be opened


class Fault(StrEnum):
    """What is wrong with a picture."""

    NONE = ""
    STRANGER = "stranger"
    DUPLICATE = "duplicate"
    NEAR_DUPLICATE = "near-duplicate"
    TRUNCATED = "truncated"
    TEXT = "text"  # a page of an error message, named .jpg
    EMPTY = "empty"
    MISSING = "missing"  # 404
    ICON = "icon"  # a few pixels of decoration


_SHARES = {PageKind.FEW: 0.12, PageKind.STRANGERS: 0.10, PageKind.COPIES: 0.05, PageKind.BROKEN: 0.03}
_UNREADABLE = (Fault.TRUNCATED, Fault.TEXT, Fault.EMPTY, Fault.MISSING)
_NO_PICTURE = {
    Fault.TEXT: encoding.NOT_A_PICTURE,
    Fault.EMPTY: encoding.EMPTY,
    Fault.MISSING: encoding.NOT_FOUND,
}
_NOISE = ((Fault.STRANGER, 0.12), (Fault.DUPLICATE, 0.15), (Fault.NEAR_DUPLICATE, 0.15), (Fault.ICON, 0.2))


@dataclass(frozen=True)
class PagePicture:
    """One `<img>` of a page and what a server answers to its URL. Subject and view are truth: not for any stage."""

    url: str
    alt_text: str
    status: int
    content_type: str
    body: bytes
    fault: Fault
    subject: Subject | None
    view: View | None


@dataclass(frozen=True)
class Page:
    """One page. The subject is the one that a good page is about."""

    url: str
    title: str
    kind: PageKind
    licence: str  # URL, or empty
    fetched_at: str  # RFC 3339
    pictures: tuple[PagePicture, ...]
    subject: Subject | None


def draw_pages(*, pages: int, seed: int, size_px: int) -> Iterator[Page]:
    """The pages of a crawl, in the order of their URLs.

    Raises:
        InvalidArgument: fewer than one page, or pictures of fewer than 16 pixels.
    """
    if pages < 1:
        raise InvalidArgument("pages", f"{pages} is below 1: ask for at least one page")
    if size_px < 16:
        raise InvalidArgument("size_px", f"{size_px} is below 16: nothing could be told apart")
    for number, kind in enumerate(_kinds(pages, random.Random(derive_seed(seed, "toy-crawl-kinds")))):  # noqa: S311
        yield _Draft(number, kind, seed, size_px).page()


def _kinds(pages: int, choose: random.Random) -> list[PageKind]:
    kinds = [kind for kind, share in _SHARES.items() for _ in range(round(share * pages))]
    kinds += [PageKind.GOOD] * (pages - len(kinds))
    choose.shuffle(kinds)
    return kinds


class _Draft:
    """One page in the making."""

    def __init__(self, number: int, kind: PageKind, seed: int, size_px: int) -> None:
        self._choose = random.Random(derive_seed(seed, "toy-crawl-page", number))  # noqa: S311 - repeatable on purpose
        self._number, self._kind, self._seed, self._size_px = number, kind, seed, size_px
        self._subject = subject_of(Namespace.CRAWL, number, seed=seed)
        self._files: dict[int, encoding.PictureFile] = {}
        shop = self._choose.choice(("shop", "store", "blog"))
        self._site = f"https://{shop}{number % 7}.example.org"
        self._folder = f"{self._site}/{name(self._subject).replace(' ', '-')}-{number:04d}"

    def page(self) -> Page:
        rows = [self._picture(index, shot) for index, shot in enumerate(self._shots())]
        return Page(
            url=f"{self._folder}/",
            title=f"{name(self._subject).title()} | Toy shop {self._number % 7}",
            kind=self._kind,
            licence="https://creativecommons.org/licenses/by/4.0/" if self._choose.random() < 0.3 else "",
            fetched_at=f"2025-06-01T{self._number // 60 % 24:02d}:{self._number % 60:02d}:00Z",
            pictures=tuple(rows),
            subject=self._subject if self._kind in {PageKind.GOOD, PageKind.FEW, PageKind.COPIES} else None,
        )

    def _shots(self) -> list["_Shot"]:
        """Who is on each picture, how, and what will be wrong with it."""
        plan = self._plan()
        views = {key: draw_view(view_seed(Namespace.CRAWL, self._number, key, seed=self._seed)) for key, _, _ in plan}
        by_size: dict[int, list[int]] = defaultdict(list)
        sizes = {key: self._choose.choice((1.0, 1.25, 1.5)) for key, _, _ in plan}
        for index, (key, _, _) in enumerate(plan):
            by_size[round(self._size_px * sizes[key])].append(index)
        drawn: dict[int, Image.Image] = {}
        for size_px, indices in by_size.items():
            subjects, seen = [plan[index][1] for index in indices], [views[plan[index][0]] for index in indices]
            for index, pixels_CHW in zip(indices, render(subjects, seen, size_px=size_px), strict=True):
                drawn[index] = _image(pixels_CHW)
        return [
            _Shot(key, subject, views[key], fault, drawn[index]) for index, (key, subject, fault) in enumerate(plan)
        ]

    def _plan(self) -> list[tuple[int, Subject, Fault]]:
        """(number of the view, subject, fault) of each picture; equal numbers are the same photo."""
        choose, own = self._choose, self._subject
        match self._kind:
            case PageKind.FEW:
                return [(view, own, Fault.NONE) for view in range(choose.choice((1, 2)))]
            case PageKind.STRANGERS:
                count = choose.randint(4, 8)
                return [(view, self._stranger(view), Fault.STRANGER) for view in range(count)]
            case PageKind.COPIES:
                return [(0, own, Fault.NONE)] + [(0, own, Fault.NEAR_DUPLICATE)] * choose.randint(3, 5)
            case PageKind.BROKEN:
                return [(view, own, choose.choice(_UNREADABLE)) for view in range(choose.randint(3, 5))]
            case PageKind.GOOD:
                return self._good_plan()

    def _good_plan(self) -> list[tuple[int, Subject, Fault]]:
        choose, own = self._choose, self._subject
        good = [(view, own, Fault.NONE) for view in range(choose.randint(3, 10))]
        noise: list[tuple[int, Subject, Fault]] = []
        for fault, chance in _NOISE:
            if choose.random() < chance:
                view = 100 + len(noise) if fault in {Fault.STRANGER, Fault.ICON} else choose.randrange(len(good))
                noise.append((view, self._stranger(view) if fault is Fault.STRANGER else own, fault))
        if choose.random() < 0.2:
            noise.append((200, own, choose.choice(_UNREADABLE)))
        for row in noise:
            good.insert(choose.randint(1, len(good)), row)
        return good

    def _stranger(self, view: int) -> Subject:
        return subject_of(Namespace.CRAWL, 1_000_000 + self._number * 1_000 + view, seed=self._seed)

    def _picture(self, index: int, shot: "_Shot") -> PagePicture:
        photo, subject, view, fault, image = shot
        file = self._file(photo, image, fault)
        return PagePicture(
            url=f"{self._folder}/{index:02d}.{file.extension}",
            alt_text=alt_texts.alt_text(subject, view, number=index, choose=self._choose),
            status=404 if fault is Fault.MISSING else 200,
            content_type=file.content_type,
            body=file.body,
            fault=fault,
            subject=subject,
            view=view,
        )

    def _file(self, photo: int, image: Image.Image, fault: Fault) -> encoding.PictureFile:
        match fault:
            case Fault.NEAR_DUPLICATE:
                return encoding.reencoded(image, choose=self._choose)
            case Fault.ICON:
                return encoding.icon(image)
            case Fault.TRUNCATED:
                return encoding.truncated(image, choose=self._choose)
            case Fault.TEXT | Fault.EMPTY | Fault.MISSING:
                return _NO_PICTURE[fault]
            case Fault.NONE | Fault.STRANGER | Fault.DUPLICATE:
                # A duplicate is the same bytes at another address.
                if photo not in self._files:
                    self._files[photo] = encoding.encoded(image, choose=self._choose)
                return self._files[photo]


class _Shot(NamedTuple):
    photo: int  # shots of equal number show the same photo
    subject: Subject
    view: View
    fault: Fault
    image: Image.Image


def _image(pixels_CHW: torch.Tensor) -> Image.Image:
    return Image.fromarray(pixels_CHW.permute(1, 2, 0).contiguous().numpy())
