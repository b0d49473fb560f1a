"""Two subjects on disk, a system that draws anything at once, and encoders small enough for every test."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from suti.infra.store import Store
from suti.local.folder import packaged_models
from suti.ml.clip.encoder import load_clip
from suti.ml.evaluation.dino import load_dino
from suti.ml.evaluation.prompts import prompt_set
from suti.ml.evaluation.protocols import DREAMBENCH, Protocol
from suti.stages.evaluation.drawings import KeptDrawings, Outcome
from suti.stages.evaluation.measuring import MeasuringModels
from suti.stages.evaluation.plan import EvaluationPlan, System
from suti.stages.evaluation.subjects import EvaluationSubject, subjects_in
from suti.stages.evaluation.work import EvaluationFolder, planned
from suti.stages.generation.painter import DrawingDiverged

ARGUMENTS = {"embed_dim": 24, "depth": 1, "num_heads": 2, "img_size": 32, "patch_size": 8}


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> MeasuringModels:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("dino")
    model = cast(Any, timm).create_model("vit_small_patch16_224", pretrained=False, num_classes=0, **ARGUMENTS)
    save_file(model.state_dict(), folder / "model.safetensors")
    told = {"architecture": "vit_small_patch16_224", "model_args": ARGUMENTS}
    (folder / "config.json").write_text(json.dumps(told))
    return MeasuringModels(load_dino(str(folder)), load_clip(str(packaged_models() / "clip")))


def picture(seed: int, size: tuple[int, int] = (40, 36)) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """`candle` with three pictures, and `rex`, a dog that DreamBench does not know, with two."""
    folder = tmp_path / "subjects"
    for number, (name, count) in enumerate({"candle": 3, "rex": 2}.items()):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            picture(100 * number + index).save(folder / name / f"{index:02d}.png")
    (folder / "rex" / "class.txt").write_text("dog\n")
    return folder


@dataclass
class Colours:
    """Draws a picture of chance for each seed, and remembers what it was asked for."""

    asked: list[tuple[str, str, tuple[int, ...]]] = field(default_factory=list[tuple[str, str, tuple[int, ...]]])
    fails: Callable[[str], None] = lambda _prompt: None
    diverges: Callable[[str, int], bool] = lambda _prompt, _place: False

    def draw(self, subject: EvaluationSubject, prompt: str, seeds: Sequence[int]) -> Iterator[Outcome]:
        self.fails(prompt)
        self.asked.append((subject.name, prompt, tuple(seeds)))
        for place, seed in enumerate(seeds):
            gone = self.diverges(prompt, place)
            yield seed, DrawingDiverged("no numbers: lower the guidance") if gone else picture(seed % 1000, (32, 32))


@dataclass
class Bench:
    """An evaluation of two prompts by two samples, ready to run."""

    plan: EvaluationPlan
    subjects: list[EvaluationSubject]
    models: MeasuringModels
    folder: EvaluationFolder
    drawer: Colours

    @property
    def source(self) -> KeptDrawings:
        return KeptDrawings(self.drawer, self.folder.store, prefix="", seed=self.plan.seed)


type MakeBench = Callable[..., Bench]


@pytest.fixture
def bench(tmp_path: Path, photos: Path, models: MeasuringModels) -> MakeBench:
    def make(
        *,
        protocol: Protocol = DREAMBENCH,
        out: str = "out",
        demonstrations: int = 2,
        seed: int = 0,
        name: str = "colours",
    ) -> Bench:
        prompts = prompt_set("dreambench")
        subjects = subjects_in(photos, prompts)
        plan = EvaluationPlan(
            system=System(name=name, sha256="aa"),
            protocol=protocol,
            protocol_id=models.protocol_id(protocol),
            prompts="dreambench",
            prompt_set=prompts,
            numbers=(0, 20),
            samples=2,
            token="sks",
            seed=seed,
            dino_sha256=models.dino.digest,
            clip_sha256=models.clip.digest,
            versions="none",
            subjects={one.name: planned(one, demonstrations=demonstrations, protocol=protocol) for one in subjects},
        )
        return Bench(plan, subjects, models, EvaluationFolder(Store.open(f"file://{tmp_path / out}")), Colours())

    return make
