"""The built-in captioner: the words of a list that CLIP finds nearest to a picture, in a sentence.

Legend: K pictures of one cluster, D embedding width, T words of one list.
"""

from collections.abc import Sequence
from functools import cached_property

import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from suti.ml.captions.words import WordLists, fill
from suti.ml.clip.encoder import ClipEncoder


class TagCaptioner:
    """Says "a photo of a fish on a beach" by comparing stored embeddings with those of the word lists."""

    def __init__(self, clip: ClipEncoder, words: WordLists) -> None:
        self._clip = clip
        self._words = words

    def caption(self, pictures: Sequence[Image.Image]) -> list[str]:
        """One sentence for each picture, each by itself: they may be of different subjects."""
        rows_ND = self._clip.encode_pictures(pictures)
        return [text for row_D in rows_ND for text in self.caption_cluster(row_D[None])]

    def caption_cluster(self, rows_KD: Tensor) -> list[str]:
        """One sentence for each picture of one cluster: one class word for all of them, a scene for each.

        Shapes: (K, D), rows of unit length -> K texts.
        """
        centre_D = F.normalize(rows_KD.mean(dim=0), dim=-1)
        kind = self._words.kinds[int((self._kinds_TD @ centre_D).argmax())]
        scenes_K: list[int] = (rows_KD @ self._scenes_TD.T).argmax(dim=1).tolist()
        template, style = self._words.templates.caption, self._words.styles[0]
        return [fill(template, kind=kind, style=style, scene=self._words.scenes[index]) for index in scenes_K]

    @cached_property
    def _kinds_TD(self) -> Tensor:
        template = self._words.templates.tag_kind
        return self._clip.encode_texts([fill(template, kind=kind) for kind in self._words.kinds])

    @cached_property
    def _scenes_TD(self) -> Tensor:
        template = self._words.templates.tag_scene
        return self._clip.encode_texts([fill(template, scene=scene) for scene in self._words.scenes])
