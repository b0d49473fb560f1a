"""The filter's numbers, worked by hand and with numpy."""

import numpy as np
import pytest
import torch

from suti.ml.quality.copies import copy_difference, copy_similarity
from suti.ml.quality.gain import clip_gain, prompt_similarity


def test_the_gain_of_a_case_worked_by_hand() -> None:
    # The prompt points along x. The candidate is 0.8 along it, the demonstrations 0.6 and 0: 0.8 - 0.6 = 0.2.
    text_ND = torch.tensor([[1.0, 0.0]])
    image_ND = torch.tensor([[0.8, 0.6]])
    demos_NKD = torch.tensor([[[0.6, 0.8], [0.0, 1.0]]])

    torch.testing.assert_close(clip_gain(text_ND, image_ND, demos_NKD), torch.tensor([0.2]))
    torch.testing.assert_close(copy_similarity(image_ND, demos_NKD), torch.tensor([0.96]))  # 0.8*0.6 + 0.6*0.8


def test_the_gain_of_a_demonstration_is_never_above_zero() -> None:
    text_ND = torch.nn.functional.normalize(torch.randn(50, 8, generator=torch.Generator().manual_seed(0)), dim=-1)
    demos_NKD = torch.nn.functional.normalize(torch.randn(50, 3, 8, generator=torch.Generator().manual_seed(1)), dim=-1)

    assert (clip_gain(text_ND, demos_NKD[:, 1], demos_NKD) <= 1e-6).all()


def test_gain_and_similarities_equal_numpys() -> None:
    rng = np.random.default_rng(0)
    text, image, demos = (
        array / np.linalg.norm(array, axis=-1, keepdims=True)
        for array in (rng.normal(size=(6, 5)), rng.normal(size=(6, 5)), rng.normal(size=(6, 4, 5)))
    )
    expected = np.array(
        [text[n] @ image[n] - max(text[n] @ demos[n, k] for k in range(4)) for n in range(6)], dtype=np.float64
    )

    found = clip_gain(torch.from_numpy(text), torch.from_numpy(image), torch.from_numpy(demos))

    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(
        prompt_similarity(torch.from_numpy(text), torch.from_numpy(image)).numpy(), (text * image).sum(1), atol=1e-12
    )


def test_the_pixel_difference_is_the_root_mean_square_to_the_nearest_or_its_mirror() -> None:
    candidate = np.zeros((16, 16, 3))
    candidate[:, :8] = 1.0
    mirrored = candidate[:, ::-1]
    half = np.full((16, 16, 3), 0.5)

    assert copy_difference(candidate, np.stack([half])) == pytest.approx(0.5)
    assert copy_difference(candidate, np.stack([half, mirrored])) == 0.0
    assert copy_difference(candidate, np.empty((0, 16, 16, 3))) == 1.0
