"""Pictures go into a base's own space and come back."""

from pathlib import Path
from typing import Any

import torch
from PIL import Image

from suti.ml.diffusion.base import load_base
from suti.ml.diffusion.latents import to_model_space, to_pictures
from suti.ml.diffusion.pixels import picture_to_tensor, tensor_to_picture


def test_a_pixel_base_hands_pictures_through(saved_pipelines: dict[str, Path]) -> None:
    base = load_base(saved_pipelines["deepfloyd"])
    pictures_NCHW = torch.rand(2, 3, 16, 16) * 2 - 1

    assert torch.equal(to_pictures(base, to_model_space(base, pictures_NCHW)), pictures_NCHW)


def test_latents_are_the_vaes_own_times_its_scaling_factor(saved_pipelines: dict[str, Path]) -> None:
    base = load_base(saved_pipelines["stable_diffusion"])
    vae: Any = base.vae  # its parts are declared optional
    pictures_NCHW = torch.rand(2, 3, 16, 16) * 2 - 1

    latents_NCHW = to_model_space(base, pictures_NCHW)

    with torch.no_grad():
        moments_NCHW = vae.quant_conv(vae.encoder(pictures_NCHW))  # the first half is the mean
        decoded_NCHW = vae.decoder(vae.post_quant_conv(latents_NCHW / 0.18215)).clamp(-1, 1)
    torch.testing.assert_close(latents_NCHW, moments_NCHW.chunk(2, dim=1)[0] * 0.18215, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(to_pictures(base, latents_NCHW), decoded_NCHW, rtol=1e-4, atol=1e-4)


def test_eight_bit_pictures_survive_the_way_to_tensors_and_back() -> None:
    picture = Image.frombytes("RGB", (16, 16), bytes(value % 256 for value in range(16 * 16 * 3)))

    assert tensor_to_picture(picture_to_tensor(picture, 16)).tobytes() == picture.tobytes()


def test_the_middle_of_a_wide_picture_is_taken() -> None:
    picture = Image.new("RGB", (40, 20), (255, 0, 0))
    picture.paste((0, 0, 255), (10, 0, 30, 20))

    tensor_CHW = picture_to_tensor(picture, 10)

    assert tensor_CHW.shape == (3, 10, 10)
    assert torch.equal(tensor_CHW[2], torch.ones(10, 10))
    assert torch.equal(tensor_CHW[0], -torch.ones(10, 10))
