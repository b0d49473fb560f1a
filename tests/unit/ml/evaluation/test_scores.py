import pytest
import torch

from suti.ml.evaluation.scores import clip_i, clip_t


def test_clip_t_is_the_cosine_between_picture_and_prompt() -> None:
    images_ND = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    texts_ND = torch.tensor([[0.6, 0.8], [0.6, 0.8]])

    assert clip_t(images_ND, texts_ND).tolist() == pytest.approx([0.6, 1.0])


def test_clip_i_is_the_mean_cosine_to_the_demonstrations() -> None:
    images_ND = torch.tensor([[1.0, 0.0]])
    demos_NKD = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [-0.6, 0.8]]])

    assert clip_i(images_ND, demos_NKD).tolist() == pytest.approx([(1.0 + 0.0 - 0.6) / 3])
