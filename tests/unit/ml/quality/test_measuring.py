from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from suti.ml.clip.encoder import load_clip
from suti.ml.quality.measuring import score_cluster, score_pictures
from suti.ml.quality.verdicts import FAILED
from tests.unit.ml.clip.tiny import save_tiny_clip


def noise(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8))


def test_scores_are_those_worked_out_by_hand() -> None:
    text_ND = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    image_ND = torch.tensor([[0.6, 0.8], [0.0, 1.0]])
    demos_KD = torch.tensor([[0.8, 0.6], [0.0, 1.0]])
    small_NSS3 = [np.full((2, 2, 3), value) for value in (0.5, 1.0)]
    demos_KSS3 = np.stack([np.full((2, 2, 3), 0.25), np.full((2, 2, 3), 1.0)])

    first, second = score_cluster(
        text_ND=text_ND, image_ND=image_ND, demos_KD=demos_KD, small_NSS3=small_NSS3, demos_KSS3=demos_KSS3
    )

    assert (first.gain, first.prompt_similarity, first.copy_similarity) == pytest.approx((-0.2, 0.6, 0.96))
    assert (second.gain, second.prompt_similarity, second.copy_similarity) == pytest.approx((0.0, 1.0, 1.0))
    assert second.copy_difference == pytest.approx(0.0)
    assert first.copy_difference > 0.0


def test_pictures_sent_by_call_are_scored_as_their_embeddings_say_and_a_blank_one_has_failed(tmp_path: Path) -> None:
    clip = load_clip(str(save_tiny_clip(tmp_path / "clip")))
    shown, drawn = [noise(1), noise(2)], [noise(3), Image.new("RGB", (16, 16))]

    one, blank = score_pictures(clip, demonstrations=shown, candidates=drawn, prompts=["a cup", "a cup at sea"])

    text_D = clip.encode_texts(["a cup"])[0]
    rows_ND = clip.encode_pictures([*shown, drawn[0]])
    cosine_N = F.cosine_similarity(rows_ND, text_D[None])
    assert one.prompt_similarity == pytest.approx(float(cosine_N[2]), abs=1e-5)
    assert one.gain == pytest.approx(float(cosine_N[2] - cosine_N[:2].max()), abs=1e-5)
    assert blank is FAILED
