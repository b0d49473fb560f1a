import json

import pytest
import torch

from suti.local.folder import packaged_models
from suti.ml.clusters.calibrate import FILE, Thresholds
from suti.ml.diffusion.pixels import from_pixels
from suti.ml.model_files import folder_digest
from suti.ml.super_resolution.drawing import enlarge
from suti.ml.super_resolution.fidelity import psnr_db
from suti.ml.super_resolution.files import load_super_resolution
from suti.reproduce.superres_cells import bicubic, own_recipe
from suti.toyworld import words
from suti.toyworld.captions import prompt
from suti.toyworld.render import render
from suti.toyworld.seeds import Namespace, subject_of
from suti.toyworld.training.superres import CARD, SAMPLING
from suti.toyworld.views import View


def test_the_committed_word_lists_are_those_that_captions_are_made_of() -> None:
    assert json.loads((packaged_models() / "clip" / "tags.json").read_bytes()) == words.tags()


def test_the_committed_thresholds_belong_to_the_committed_clip() -> None:
    told = Thresholds.model_validate_json((packaged_models() / "clip" / FILE).read_bytes())

    assert told.clip_sha256 == folder_digest(packaged_models() / "clip")


def test_the_committed_super_resolution_model_is_small_and_what_its_training_writes() -> None:
    folder = packaged_models() / "superres"

    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 6_000_000
    assert json.loads((folder / "suti.json").read_bytes()) == CARD
    assert json.loads((folder / "sampling.json").read_bytes()) == SAMPLING


@pytest.mark.slow
def test_the_committed_super_resolution_model_is_nearer_to_the_truth_than_bicubic() -> None:
    subjects = [subject_of(Namespace.EVALUATION, number) for number in range(3)]
    small_NCHW, true_NCHW = (from_pixels(render(subjects, [View()] * 3, size_px=size)) for size in (32, 128))

    drawn_NCHW = enlarge(
        load_super_resolution(packaged_models() / "superres"),
        small_NCHW,
        prompts=[prompt(subject.kind, View()) for subject in subjects],
        seeds=[1, 2, 3],
        recipe=own_recipe("superres"),
    )

    ours, theirs = (psnr_db((one + 1) / 2, (true_NCHW + 1) / 2) for one in (drawn_NCHW, bicubic(small_NCHW)))
    assert torch.all(ours > theirs)
