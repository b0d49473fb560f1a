"""Bringing real models home: from a diffusers folder or a hub to a folder of ours, checked before it is there."""

import json
import re
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from suti.core.errors import PermanentError
from suti.ml.diffusion.base import Base, load_base
from suti.ml.diffusion.parts import read_json
from suti.ml.diffusion.schedule import NoiseSchedule
from suti.ml.model_files import PICKLE_SUFFIXES, SAFE_SUFFIXES, ModelInvalid, ModelMissing, ModelUnsafe, folder_digest
from suti.ml.super_resolution.drawing import enlarge
from suti.ml.super_resolution.files import load_super_resolution, read_if_there
from suti.ml.super_resolution.recipe import SuperResolutionForm, super_resolution_form

CARD = "suti.json"
_PARTS = (
    "unet", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler",
    "image_noising_scheduler", "low_res_scheduler",
)  # fmt: skip
_SMALL = SAFE_SUFFIXES - {".safetensors"}  # configuration and vocabularies
_SHARD = r"(-\d+-of-\d+)?"
_PLAIN = re.compile(rf"(diffusion_pytorch_model|model){_SHARD}\.safetensors")
_HALF = re.compile(rf"(diffusion_pytorch_model|model)(\.fp16{_SHARD}|{_SHARD}\.fp16)\.safetensors")
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_LICENCE = re.compile(r"^license:\s*[\"']?([^\"'\n]+?)[\"']?\s*$", re.MULTILINE)


class ModelExists(PermanentError):
    """The place that a model should be imported to is taken."""

    reason = "MODEL_EXISTS"
    grpc_code = "ALREADY_EXISTS"


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What Suti wrote beside an imported model, in `suti.json`."""

    kind: str  # pixel | latent: a base; super-resolution
    size_px: int
    prediction: str  # epsilon | v_prediction | sample
    source: str  # the hub's name, or the folder's own
    revision: str  # the hub's commit, empty for a folder
    licence: str  # as the model's own README states it, or as given; empty if nobody said
    format: int = 1
    factor: int = 0  # of a super-resolution model: times as wide and high
    align_corners: bool = True  # how such a one is given small pictures
    residual: bool = False  # whether it draws what is to be added to them


@dataclass(frozen=True, slots=True)
class ImportedModel:
    """An imported model: its place, the digest that runs name it by, and its card."""

    folder: Path
    digest: str
    card: ModelCard


def import_model(source: str, destination: Path, *, revision: str = "", licence: str = "") -> ImportedModel:
    """Copy what is needed of a base or a super-resolution model and check that it loads and answers.

    A failure leaves nothing behind.

    `source` is a diffusers folder, or a hub's name such as "stabilityai/stable-diffusion-xl-base-1.0".

    Raises:
        ModelExists: there is something at the destination.
        ModelMissing: no such folder, or the hub does not know or cannot be asked.
        ModelUnsafe: weights as pickles alone.
        ModelInvalid: a file or tensor is missing or wrong, or the model neither draws nor enlarges.
    """
    if destination.exists():
        raise ModelExists(f"{destination} exists: remove it, or import under another name")
    folder, commit = (Path(source), "") if Path(source).is_dir() else _fetch(source, revision)
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".import-") as scratch:
        copied = Path(scratch) / destination.name
        _copy(folder, copied)
        form = super_resolution_form(lambda name: read_if_there(folder / name))
        card = ModelCard(
            **(_of_base(copied, source) if form is None else _of_super_resolution(form, copied)),
            source=source if commit else folder.resolve().name,
            revision=commit,
            licence=licence or _stated_licence(folder),
        )
        (copied / CARD).write_text(json.dumps(asdict(card), indent=2, sort_keys=True) + "\n", encoding="utf-8")
        if form is not None:
            _try_to_enlarge(copied, source)
        copied.rename(destination)
    return ImportedModel(folder=destination, digest=folder_digest(destination), card=card)


def needed_files(names: Iterable[str]) -> list[str]:
    """Of a repository's files those that a base is loaded from: one set of safetensors for each part, and small files.

    Weights in full precision are preferred to those in half; pickles, other frameworks' weights and safety checkers
    stay where they are.
    """
    everything = sorted(names)
    needed = [name for name in everything if name == "model_index.json"]
    for part in _PARTS:
        inside = [name for name in everything if PurePosixPath(name).parent.as_posix() == part]
        plain = [name for name in inside if _PLAIN.fullmatch(PurePosixPath(name).name)]
        half = [name for name in inside if _HALF.fullmatch(PurePosixPath(name).name)]
        needed += [name for name in inside if PurePosixPath(name).suffix in _SMALL]
        needed += plain or half
        pickles = [name for name in inside if PurePosixPath(name).suffix in PICKLE_SUFFIXES]
        if pickles and not plain and not half:
            raise ModelUnsafe(f"{pickles[0]} is a pickle and is never opened: convert the weights to safetensors first")
    return needed


def _fetch(source: str, revision: str) -> tuple[Path, str]:
    """The hub's snapshot of what is needed, and its commit."""
    if not _HUB_NAME.fullmatch(source):
        raise ModelMissing(f"no model folder {source!r}, and it is no hub's OWNER/NAME: correct the name")
    from huggingface_hub import HfApi, snapshot_download  # noqa: PLC0415 - only for hub names

    try:
        found = HfApi().model_info(source, revision=revision or None)
        names = [file.rfilename for file in found.siblings or []]
        commit = found.sha or revision
        wanted = [*needed_files(names), "README.md"]
        return Path(snapshot_download(source, revision=commit, allow_patterns=wanted)), commit
    except ModelUnsafe:
        raise
    except Exception as error:  # whatever the hub's client raises, the remedy is the same
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelMissing(
            f"{source!r} cannot be fetched ({first[:200]}): check name, network and HF_TOKEN, "
            "or download it elsewhere and give the folder"
        ) from error


def _copy(folder: Path, destination: Path) -> None:
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    for name in needed_files(names):
        target = destination / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, target)  # contents alone: a hub's cache holds links
    destination.mkdir(exist_ok=True)


def _of_base(folder: Path, source: str) -> dict[str, Any]:
    base = load_base(folder)
    _try(base, source)
    return {
        "kind": "pixel" if base.vae is None else "latent",
        "size_px": base.size_px,
        "prediction": NoiseSchedule.from_config(base.scheduler_config).prediction,
    }


def _of_super_resolution(form: SuperResolutionForm, folder: Path) -> dict[str, Any]:
    scheduler = read_json(folder / "scheduler" / "scheduler_config.json")
    return {
        "kind": "super-resolution",
        "size_px": form.size_px,
        "prediction": NoiseSchedule.from_config(scheduler).prediction,
        "factor": form.factor,
        "align_corners": form.align_corners,
        "residual": form.residual,
    }


def _try_to_enlarge(folder: Path, source: str) -> None:
    """One step of enlarging a grey picture, as `_try` does with a base."""
    model = load_super_resolution(folder)
    grey_NCHW = torch.zeros(1, 3, model.form.low_px, model.form.low_px)
    recipe = model.form.recipe.model_copy(update={"steps": 1, "guidance": 1.0, "sampler": "ddim"})
    try:
        drawn_NCHW = enlarge(model, grey_NCHW, prompts=["a picture"], seeds=[0], recipe=recipe)
    except (RuntimeError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise ModelInvalid(f"{source}: its parts do not fit one another ({error}): copy the model whole") from error
    if not bool(torch.isfinite(drawn_NCHW).all()):
        raise ModelInvalid(f"{source}: it enlarges to NaN or infinity: copy the model anew")


def _try(base: Base, source: str) -> None:
    """One answer to noise: parts that do not belong together are found here and not in a run."""
    noise_NCHW = torch.randn(1, *base.shape_CHW, generator=torch.Generator().manual_seed(0))
    try:
        with torch.inference_mode():
            answer_NCHW = base.predict(noise_NCHW, 1, base.text.encode(["a picture"]))
    except (RuntimeError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise ModelInvalid(f"{source}: its parts do not fit one another ({error}): copy the model whole") from error
    if not bool(torch.isfinite(answer_NCHW).all()):
        raise ModelInvalid(f"{source}: it answers NaN or infinity to plain noise: copy the model anew")


def _stated_licence(folder: Path) -> str:
    readme = folder / "README.md"
    if not readme.is_file():
        return ""
    text = readme.read_text(encoding="utf-8", errors="replace")
    front = text.split("\n---", 1)[0] if text.startswith("---") else ""
    stated = _LICENCE.search(front)
    return stated.group(1).strip() if stated else ""
