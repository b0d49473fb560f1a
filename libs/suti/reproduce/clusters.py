"""Clusters as the pages of a drawn crawl make them, with what no stage may know: whom they show.

The way is the product's (captioner, rewriter, sizes); what is left out are the pages that grouping and selection would
drop anyway, and the noise among good pictures.

Legend: K pictures of a cluster, C channels, H height, W width.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from suti.core.seeds import derive_seed
from suti.ml.captions.alt_text import clean
from suti.ml.captions.grammar import GrammarRewriter
from suti.ml.captions.tags import TagCaptioner
from suti.ml.captions.words import WordLists
from suti.ml.clip.encoder import ClipEncoder
from suti.ml.diffusion.pixels import picture_to_tensor, to_pixels
from suti.toyworld.pages import Fault, Page, PageKind, draw_pages
from suti.toyworld.subjects import Subject

_CRAWL_PX = 64  # as the demo's crawl
_PAGES = 2_000  # of the one crawl that all experiments read from its beginning


@dataclass(frozen=True)
class Cluster:
    """One subject's pictures and texts, and the prompts that its teacher draws."""

    number: int  # its place in the crawl, 0-based
    subject: Subject
    pictures_KCHW: Tensor  # uint8
    texts: tuple[str, ...]
    prompts: tuple[str, ...]


class ClusterSource:
    """Captions pages and proposes prompts as the toy preset does."""

    def __init__(self, clip: ClipEncoder, words: WordLists, *, size_px: int, prompts_each: int, seed: int) -> None:
        self._clip, self._size_px, self._prompts_each, self._seed = clip, size_px, prompts_each, seed
        self._captioner, self._rewriter = TagCaptioner(clip, words), GrammarRewriter(words)

    def clusters(self, numbers: range) -> Iterator[Cluster]:
        """The clusters of these numbers. A number is the same cluster whichever others are asked for.

        Raises:
            ValueError: the crawl has fewer.
        """
        pages = draw_pages(pages=_PAGES, seed=self._seed, size_px=_CRAWL_PX)
        good = (page for page in pages if page.kind is PageKind.GOOD)
        for number in range(numbers.stop):
            if (page := next(good, None)) is None:
                raise ValueError(f"the crawl of {_PAGES} pages has {number} clusters, and {numbers.stop} are wanted")
            if number in numbers:
                yield self._cluster(number, page)

    def _cluster(self, number: int, page: Page) -> Cluster:
        shown = [picture for picture in page.pictures if picture.fault is Fault.NONE]
        images = [Image.open(io.BytesIO(picture.body)).convert("RGB") for picture in shown]
        captions = self._captioner.caption_cluster(self._clip.encode_pictures(images, pad=False))
        alt_texts = [clean(picture.alt_text) for picture in shown]
        texts = self._rewriter.refine(alt_texts, captions)
        prompts = self._rewriter.propose(
            texts,
            own=[*alt_texts, *captions],
            count=self._prompts_each,
            seed=derive_seed(self._seed, "reproduce-prompts", number),
        )
        pictures_KCHW = torch.stack([picture_to_tensor(image, self._size_px) for image in images])
        if page.subject is None:
            raise AssertionError("a good page is about somebody")
        return Cluster(
            number=number,
            subject=page.subject,
            pictures_KCHW=to_pixels(pictures_KCHW),
            texts=tuple(texts),
            prompts=tuple(prompt.text for prompt in prompts),
        )
