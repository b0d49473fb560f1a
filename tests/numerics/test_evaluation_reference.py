"""Scores against others' code: torchvision's transforms, timm against transformers, loops of plain numpy."""

import itertools
import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision import transforms
from transformers import ViTConfig, ViTModel

from suti.ml.evaluation.dino import load_dino
from suti.ml.evaluation.intervals import compare
from suti.ml.evaluation.preprocessing import prepared
from suti.ml.evaluation.protocols import DREAMBENCH, SQUASHED
from suti.ml.evaluation.scores import likeness
from suti.ml.evaluation.weaknesses import copy_score, detail_score, diversity, patches_of_mask

WIDTH, DEPTH, HEADS, SIDE, PATCH = 24, 2, 3, 32, 8
BOTH = transforms.InterpolationMode


def _pictures(*sizes: tuple[int, int]) -> list[Image.Image]:
    random = np.random.default_rng(5)
    coarse = [Image.fromarray(random.integers(0, 256, (7, 9, 3), dtype=np.uint8)) for _ in sizes]
    return [picture.resize(size, Image.Resampling.BICUBIC) for picture, size in zip(coarse, sizes, strict=True)]


def _unit(rows: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(rows, dim=-1)


@pytest.mark.parametrize("size", [(512, 384), (383, 512), (64, 64), (301, 40), (33, 32)])
def test_pictures_reach_dino_as_the_script_of_dino_prepares_them(size: tuple[int, int]) -> None:
    (picture,) = _pictures(size)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    theirs = transforms.Compose(
        [
            transforms.Resize(256, interpolation=BOTH.BICUBIC),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(mean, std),
        ]
    )
    squashed = transforms.Compose(
        [
            transforms.Resize((224, 224), interpolation=BOTH.BILINEAR),
            transforms.ToTensor(),
            transforms.Normalize(mean, std),
        ]
    )

    assert torch.equal(prepared([picture], DREAMBENCH.picture, side_px=224)[0], cast(torch.Tensor, theirs(picture)))
    assert torch.equal(prepared([picture], SQUASHED.picture, side_px=224)[0], cast(torch.Tensor, squashed(picture)))


def _saved_by_both(folder: Path) -> tuple[Path, Path]:
    """One ViT as timm saves it and as transformers does, tensor for tensor the same."""
    torch.manual_seed(3)
    config = cast(Any, ViTConfig)(
        hidden_size=WIDTH, num_hidden_layers=DEPTH, num_attention_heads=HEADS, intermediate_size=4 * WIDTH,
        image_size=SIDE, patch_size=PATCH, layer_norm_eps=1e-6,
    )  # fmt: skip
    model = ViTModel(config, add_pooling_layer=False)
    for parameter in model.parameters():  # biases and scales start at 0 and 1, where a mix-up would not show
        torch.nn.init.normal_(parameter, std=0.2)
    theirs, ours = folder / "transformers", folder / "timm"
    model.save_pretrained(theirs)
    from safetensors.torch import load_file  # noqa: PLC0415

    stored = load_file(theirs / "model.safetensors")
    tensors: dict[str, torch.Tensor] = {
        "cls_token": stored["embeddings.cls_token"],
        "pos_embed": stored["embeddings.position_embeddings"],
        "patch_embed.proj.weight": stored["embeddings.patch_embeddings.projection.weight"],
        "patch_embed.proj.bias": stored["embeddings.patch_embeddings.projection.bias"],
        "norm.weight": stored["layernorm.weight"],
        "norm.bias": stored["layernorm.bias"],
    }
    for layer in range(DEPTH):
        of = f"encoder.layer.{layer}"
        for kind in ("weight", "bias"):
            parts = [stored[f"{of}.attention.attention.{name}.{kind}"] for name in ("query", "key", "value")]
            tensors[f"blocks.{layer}.attn.qkv.{kind}"] = torch.cat(parts)
            for name, place in {
                "attn.proj": "attention.output.dense",
                "norm1": "layernorm_before",
                "norm2": "layernorm_after",
                "mlp.fc1": "intermediate.dense",
                "mlp.fc2": "output.dense",
            }.items():
                tensors[f"blocks.{layer}.{name}.{kind}"] = stored[f"{of}.{place}.{kind}"]
    ours.mkdir()
    save_file(tensors, ours / "model.safetensors")
    arguments = {"embed_dim": WIDTH, "depth": DEPTH, "num_heads": HEADS, "img_size": SIDE, "patch_size": PATCH}
    told = {"architecture": "vit_small_patch16_224", "model_args": arguments, "num_features": WIDTH}
    (ours / "config.json").write_text(json.dumps(told))
    return theirs, ours


def test_timm_and_transformers_see_the_same_in_one_and_the_same_vit(tmp_path: Path) -> None:
    by_transformers, by_timm = map(load_dino, map(str, _saved_by_both(tmp_path)))
    pictures = _pictures((50, 40), (32, 32), (70, 90))

    one, other = (encoder.look(pictures, DREAMBENCH.picture) for encoder in (by_transformers, by_timm))

    assert (by_timm.side_px, by_timm.patch_px) == (by_transformers.side_px, by_transformers.patch_px) == (SIDE, PATCH)
    assert one.patch_NPD.shape == (3, (SIDE // PATCH) ** 2, WIDTH)
    torch.testing.assert_close(one.class_ND, other.class_ND, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(one.patch_NPD, other.patch_NPD, atol=1e-5, rtol=1e-5)


def test_a_dino_score_is_the_mean_cosine_of_class_tokens_as_timm_alone_computes_it(tmp_path: Path) -> None:
    _, folder = _saved_by_both(tmp_path)
    drawings, references = _pictures((40, 40), (60, 32)), _pictures((33, 57), (32, 32), (44, 48))
    encoder = load_dino(str(folder))

    ours = likeness(
        encoder.look(drawings, DREAMBENCH.picture).class_ND, encoder.look(references, DREAMBENCH.picture).class_ND
    )

    config = json.loads((folder / "config.json").read_text())
    model = cast(Any, timm).create_model(
        config["architecture"], num_classes=0, checkpoint_path=str(folder / "model.safetensors"), **config["model_args"]
    )
    model.eval()
    transform = transforms.Compose(
        [
            transforms.Resize(round(SIDE * 256 / 224), interpolation=BOTH.BICUBIC),
            transforms.CenterCrop(SIDE),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )

    def row(picture: Image.Image) -> np.ndarray[Any, np.dtype[np.float64]]:
        with torch.no_grad():
            return model(cast(torch.Tensor, transform(picture))[None])[0].double().numpy()

    theirs = [
        np.mean([row(a) @ row(b) / np.linalg.norm(row(a)) / np.linalg.norm(row(b)) for b in references])
        for a in drawings
    ]
    assert ours.tolist() == pytest.approx(theirs, abs=1e-5)


def test_weaknesses_are_what_plain_loops_say() -> None:
    generator = torch.Generator().manual_seed(2)
    drawn = _unit(torch.randn(3, 5, generator=generator))
    shown = _unit(torch.randn(4, 5, generator=generator))
    patches = _unit(torch.randn(3, 6, 5, generator=generator))
    real = _unit(torch.randn(4, 6, 5, generator=generator))
    wanted = torch.rand(4, 6, generator=generator) < 0.5
    wanted[1] = False  # a reference whose subject no patch shows
    offered = torch.rand(3, 6, generator=generator) < 0.7
    a, b = drawn.double().numpy(), shown.double().numpy()

    assert copy_score(drawn, shown).tolist() == pytest.approx([max(x @ y for y in b) for x in a])
    pairs = [1 - a[i] @ a[j] for i, j in itertools.combinations(range(3), 2)]
    assert float(diversity(drawn).mean()) == pytest.approx(float(np.mean(pairs)))
    expected = [
        np.mean(
            [
                np.mean(
                    [
                        max(float(patches[n, p] @ real[k, q]) for p in range(6) if offered[n, p])
                        for q in range(6)
                        if wanted[k, q]
                    ]
                )
                for k in range(4)
                if wanted[k].any()
            ]
        )
        for n in range(3)
    ]
    assert detail_score(patches, real, wanted_KQ=wanted, offered_NP=offered).tolist() == pytest.approx(
        expected, abs=1e-6
    )


def test_a_mask_is_cut_into_patches_row_by_row() -> None:
    mask = torch.zeros(1, 4, 6, dtype=torch.bool)
    mask[0, :2, 4:] = True  # the upper right patch
    mask[0, 2, 0] = True  # a quarter of the lower left one

    assert patches_of_mask(mask, patch_px=2).tolist() == [[False, False, True, False, False, False]]


def test_the_probability_of_an_order_is_that_of_all_resamples_of_subjects() -> None:
    one, other = [0.9, 0.8, 0.4, 0.3, 0.5], [0.5, 0.6, 0.6, 0.3, 0.9]
    groups = ["a", "a", "b", "c", "c"]
    differences = {
        name: [x - y for x, y, group in zip(one, other, groups, strict=True) if group == name] for name in "abc"
    }
    means = [
        float(np.mean([value for name in chosen for value in differences[name]]))
        for chosen in itertools.product("abc", repeat=3)
    ]
    exact = np.mean([(mean > 1e-12) + (abs(mean) <= 1e-12) / 2 for mean in means])

    found = compare(one, other, groups=groups)

    assert found.probability == pytest.approx(float(exact), abs=0.015)
    assert found.difference.mean == pytest.approx(float(np.mean([x - y for x, y in zip(one, other, strict=True)])))
    assert found.groups == 3
