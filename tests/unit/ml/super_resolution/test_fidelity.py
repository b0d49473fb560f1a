"""PSNR by hand; SSIM as SciPy's filters and the paper's formula give it, written anew in NumPy."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from suti.ml.super_resolution.fidelity import psnr_db, ssim

ONE, OTHER = torch.rand(2, 2, 3, 24, 20, generator=torch.Generator().manual_seed(1)).double()


def ssim_by_scipy(one: "np.ndarray[tuple[int, int], np.dtype[np.float64]]", other: np.ndarray) -> float:
    """Of one channel. `truncate` makes the window 11 wide; its outer five pixels see beyond the picture."""

    def mean(values: np.ndarray) -> np.ndarray:
        return np.asarray(gaussian_filter(values, sigma=1.5, truncate=5 / 1.5))[5:-5, 5:-5]

    mean_x, mean_y = mean(one), mean(other)
    var_x, var_y = mean(one * one) - mean_x**2, mean(other * other) - mean_y**2
    both = mean(one * other) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + 0.0001) / (mean_x**2 + mean_y**2 + 0.0001)
    structure = (2 * both + 0.0009) / (var_x + var_y + 0.0009)
    return float((luminance * structure).mean())


def test_ssim_is_that_of_the_paper() -> None:
    blended = 0.7 * ONE + 0.3 * OTHER
    for pair in ((ONE, OTHER), (blended, ONE)):
        found_N = ssim(*pair)
        for row in range(2):
            channels = [ssim_by_scipy(pair[0][row, one].numpy(), pair[1][row, one].numpy()) for one in range(3)]
            assert float(found_N[row]) == pytest.approx(np.mean(channels), abs=1e-9)
    torch.testing.assert_close(ssim(ONE, ONE), torch.ones(2).double())


def test_psnr_by_hand() -> None:
    flat = torch.full((1, 3, 4, 4), 0.5)

    assert float(psnr_db(flat, flat + 0.1)) == pytest.approx(20.0, abs=1e-4)  # 10 log10(1 / 0.1^2)
    assert float(psnr_db(flat, flat + 0.01)) == pytest.approx(40.0, abs=1e-3)
    assert float(psnr_db(flat, flat)) == float("inf")
