"""How near an enlarged picture is to the true one.

Legend: N pictures, C channels, H height, W width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

_SIDE, _SIGMA = 11, 1.5  # of the Gaussian window
_C1, _C2 = 0.01**2, 0.03**2


def psnr_db(pictures_NCHW: Tensor, true_NCHW: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in decibels, over all pixels and channels.

    Shapes: 2 x (N, C, H, W) in [0, 1] -> (N,); infinity for equal pictures.
    """
    error_N = torch.square(pictures_NCHW - true_NCHW).mean(dim=(1, 2, 3))
    return -10 * torch.log10(error_N)


def ssim(pictures_NCHW: Tensor, true_NCHW: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004): Gaussian windows of 11 pixels that lie whole within the picture.

    The mean over windows and channels. Shapes: 2 x (N, C, H, W) in [0, 1], at least 11 pixels a side -> (N,).
    """
    mean_x, mean_y = _windowed(pictures_NCHW), _windowed(true_NCHW)
    var_x = _windowed(pictures_NCHW**2) - mean_x**2
    var_y = _windowed(true_NCHW**2) - mean_y**2
    covariance = _windowed(pictures_NCHW * true_NCHW) - mean_x * mean_y
    alike = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    return (alike / ((mean_x**2 + mean_y**2 + _C1) * (var_x + var_y + _C2))).mean(dim=(1, 2, 3))


def _windowed(pictures_NCHW: Tensor) -> Tensor:
    """Weighted means of all windows."""
    place = torch.arange(_SIDE, dtype=pictures_NCHW.dtype) - _SIDE // 2
    weight = torch.exp(-(place**2) / (2 * _SIGMA**2))
    weight = weight / weight.sum()
    channels = pictures_NCHW.shape[1]
    down = weight.view(1, 1, -1, 1).repeat(channels, 1, 1, 1)
    across = weight.view(1, 1, 1, -1).repeat(channels, 1, 1, 1)
    return F.conv2d(F.conv2d(pictures_NCHW, down, groups=channels), across, groups=channels)
