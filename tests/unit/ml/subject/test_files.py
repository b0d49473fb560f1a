"""An apprentice's folder comes back as it was, or is refused with what is wrong in it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from suti.ml.diffusion.base import load_base
from suti.ml.model_files import ModelInvalid, ModelUnsafe
from suti.ml.subject.files import SubjectWeightsInvalid, load_subject_model
from tests.models.subject_models import save_tiny_subject_model, tiny_subject_model

WEIGHTS = "subject/diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_tiny_subject_model(tmp_path / "apprentice")


def test_a_saved_apprentice_has_every_weight_again(folder: Path) -> None:
    model, again = tiny_subject_model(), load_subject_model(folder)

    before, after = model.network.state_dict(), again.network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_its_unet_alone_is_a_base(folder: Path) -> None:
    assert load_base(folder).size_px == 16


def _without_one(tensors: dict[str, Tensor]) -> None:
    del tensors[min(tensors)]


def _with_another_shape(tensors: dict[str, Tensor]) -> None:
    tensors[min(tensors)] = torch.zeros(3)


def _with_a_stranger(tensors: dict[str, Tensor]) -> None:
    tensors["stranger"] = torch.zeros(1)


def _with_infinity(tensors: dict[str, Tensor]) -> None:
    tensors[min(tensors)].fill_(torch.inf)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_without_one, "misses tensor"),
        (_with_another_shape, "has shape"),
        (_with_a_stranger, "unknown tensor 'stranger'"),
        (_with_infinity, "NaN or infinity"),
    ],
)
def test_a_broken_tensor_of_the_attention_is_named(
    folder: Path, change: Callable[[dict[str, Tensor]], None], told: str
) -> None:
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)

    with pytest.raises(SubjectWeightsInvalid, match=told) as refused:
        load_subject_model(folder)
    assert refused.value.reason == "SUBJECT_WEIGHTS_INVALID"


def test_attention_weights_cut_short_are_refused(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-5])

    with pytest.raises(SubjectWeightsInvalid, match="cannot be read"):
        load_subject_model(folder)


def test_attention_weights_as_pickles_are_never_opened(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "subject" / "diffusion_pytorch_model.bin")

    with pytest.raises(ModelUnsafe, match="is a pickle"):
        load_subject_model(folder)


def test_an_apprentice_that_lost_its_attention_is_not_taken_for_a_base(folder: Path) -> None:
    (folder / WEIGHTS).unlink()

    with pytest.raises(ModelInvalid, match=r"no \.safetensors"):
        load_subject_model(folder)
