from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from suti.ml.captions.interfaces import Captioner, EmbeddingCaptioner
from suti.ml.captions.tags import TagCaptioner
from suti.ml.captions.words import WordLists
from suti.ml.clip.encoder import ClipEncoder, load_clip
from tests.unit.ml.clip.tiny import save_tiny_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> ClipEncoder:
    return load_clip(str(save_tiny_clip(tmp_path_factory.mktemp("clip"))))


WORDS = WordLists(
    kinds=("fish", "owl", "teapot"),
    scenes=("on a beach", "in the snow"),
    styles=("photo", "oil painting"),
    accessories=("wearing a hat",),
    colours=("red",),
)


def _like(clip: ClipEncoder, texts: Sequence[str]) -> Tensor:
    """Embeddings of pictures that lie exactly where these texts do."""
    return F.normalize(torch.stack([clip.encode_texts([text])[0] for text in texts]), dim=-1)


def test_each_picture_gets_the_scene_and_the_cluster_the_kind_that_clip_finds_nearest(clip: ClipEncoder) -> None:
    kinds = clip.encode_texts([f"a photo of {a}" for a in ("a fish", "an owl", "a teapot")])
    scenes = clip.encode_texts(["a photo on a beach", "a photo in the snow"])
    rows_KD = F.normalize(torch.stack([kinds[1] + scenes[0], kinds[1] + scenes[1], kinds[1] - scenes[1]]), dim=-1)
    kind = ("a fish", "an owl", "a teapot")[int((kinds @ F.normalize(rows_KD.mean(0), dim=-1)).argmax())]
    nearest = [("on a beach", "in the snow")[int((scenes @ row).argmax())] for row in rows_KD]

    captions = TagCaptioner(clip, WORDS).caption_cluster(rows_KD)

    assert captions == [f"a photo of {kind} {scene}" for scene in nearest]


def test_embeddings_that_equal_a_tags_own_are_called_by_it(clip: ClipEncoder) -> None:
    captions = TagCaptioner(clip, WORDS).caption_cluster(_like(clip, ["a photo of a teapot"] * 3))

    assert all(caption.startswith("a photo of a teapot ") for caption in captions)


def test_pictures_of_different_subjects_may_be_asked_together(clip: ClipEncoder) -> None:
    captioner = TagCaptioner(clip, WORDS)
    pictures = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "white")]

    together = captioner.caption(pictures)

    assert together == [captioner.caption([picture])[0] for picture in pictures]
    assert captioner.caption([]) == []


def test_it_needs_no_pictures_where_embeddings_are_stored(clip: ClipEncoder) -> None:
    captioner: Captioner = TagCaptioner(clip, WORDS)

    assert isinstance(captioner, EmbeddingCaptioner)
