"""Experts together against diffusers' own LoRA DreamBooth script, one by one: `python -m bench.dreambooth_peer SCRIPT`.

The script is `examples/dreambooth/train_dreambooth_lora.py` of the diffusers repository; it is not ours to ship. Both
tune the toy base on pictures of toy subjects with one recipe, so that a step is worth the same to both. The script is
run as it comes, a process of its own, for few steps and for many: the difference is its steps without its start and its
imports. Times are processor time in one thread.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image

from bench.measure import of_ratios
from bench.models import TOY_MODELS
from suti.ml.diffusion.base import load_base
from suti.ml.diffusion.pixels import picture_to_tensor
from suti.ml.experts.recipe import ExpertRecipe
from suti.ml.experts.together import Lesson, tune_together
from suti.toyworld.captions import name
from suti.toyworld.render import render
from suti.toyworld.seeds import Namespace, subject_of, view_seed
from suti.toyworld.subjects import Subject
from suti.toyworld.views import draw_view

_EXPERTS, _PICTURES, _FEW, _MANY, _REPEATS = 16, 4, 5, 25, 3
_RECIPE = ExpertRecipe(
    method="lora", optimizer="adamw", learning_rate=5e-4, batch_pictures=4, lora_rank=16, text_dropout=0.0
)


def main(script: Path) -> None:
    """Print expert-steps per second of 16 together ÷ the script's."""
    torch.set_num_threads(1)
    subjects = [subject_of(Namespace.EVALUATION, number) for number in range(_EXPERTS)]
    ratios: list[float] = []
    for _ in range(_REPEATS):
        with tempfile.TemporaryDirectory() as folder:
            theirs_s = _script_step_s(script, subjects[0], Path(folder))
        ours_s = _together_step_s(subjects)
        print(f"{1e3 * theirs_s:.1f} ms a step of theirs, {1e3 * ours_s:.1f} ms of ours", flush=True)
        ratios.append(theirs_s / ours_s)
    print(of_ratios("experts, steps/s of 16 together / diffusers' script", ratios, at_least=5.0).line())


def _together_step_s(subjects: list[Subject]) -> float:
    """Processor seconds of one step of one expert, everything in them that follows the loading of the base."""
    base = load_base(TOY_MODELS / "base")
    lessons = [
        Lesson(
            torch.stack([picture_to_tensor(picture, base.size_px) for picture in _pictures(subject)]),
            [f"a photo of a {name(subject)}"] * _PICTURES,
            seed=number,
        )
        for number, subject in enumerate(subjects)
    ]
    spent: list[float] = []
    for steps in (_FEW, _MANY):
        start = time.process_time()
        tune_together(base, lessons, recipe=_RECIPE.model_copy(update={"steps": steps}))
        spent.append(time.process_time() - start)
    return (spent[1] - spent[0]) / (_MANY - _FEW) / len(lessons)


def _script_step_s(script: Path, subject: Subject, folder: Path) -> float:
    pictures = folder / "pictures"
    pictures.mkdir()
    for index, picture in enumerate(_pictures(subject)):
        picture.save(pictures / f"{index}.png")
    options = {
        "pretrained_model_name_or_path": _as_a_pipeline(folder / "base"),
        "instance_data_dir": pictures,
        "instance_prompt": f"a photo of a {name(subject)}",
        "output_dir": folder / "out",
        "resolution": 32,
        "train_batch_size": _RECIPE.batch_pictures,
        "learning_rate": _RECIPE.learning_rate,
        "rank": _RECIPE.lora_rank,
        "lr_scheduler": "constant",
        "checkpointing_steps": 10_000,
        "seed": 0,
    }
    given = [part for option, value in options.items() for part in (f"--{option}", str(value))]
    spent: list[float] = []
    for steps in (_FEW, _MANY):
        before = _children_s()
        command = [sys.executable, str(script), *given, "--max_train_steps", str(steps)]
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"})  # noqa: S603 - the user's own script
        spent.append(_children_s() - before)
    return (spent[1] - spent[0]) / (_MANY - _FEW)


def _as_a_pipeline(folder: Path) -> Path:
    """The toy base under the name of the one pipeline of diffusers that has its parts: it draws pixels."""
    shutil.copytree(TOY_MODELS / "base", folder)
    index = json.loads((folder / "model_index.json").read_text())
    index |= {"_class_name": "IFPipeline", "safety_checker": [None, None], "feature_extractor": [None, None]}
    index |= {"watermarker": [None, None], "requires_safety_checker": False}
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _pictures(subject: Subject) -> list[Image.Image]:
    views = [draw_view(view_seed(Namespace.EVALUATION, 0, view)) for view in range(_PICTURES)]
    drawn_NCHW = render([subject] * _PICTURES, views)
    return [Image.fromarray(one.permute(1, 2, 0).numpy()) for one in drawn_NCHW]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
