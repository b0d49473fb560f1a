"""What a model's folder says of itself: what it is for, how large its pictures are, how it likes to draw. No torch."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.model_files import ModelInvalid
from suti.ml.super_resolution.recipe import EnlargingRecipe, SuperResolutionForm, super_resolution_form
from suti.stages.model_catalogue import ModelCatalogue, UnknownModel

SAMPLING_FILE = "sampling.json"  # how a model likes to draw, beside its weights
FALLBACK_SAMPLING = SamplingRecipe(sampler="dpmsolver++", steps=30, guidance=5.0)

_INDEX = "model_index.json"  # at the root of a model that draws
_SUBJECT = "subject/config.json"  # of one that looks at demonstrations


class ModelKind(StrEnum):
    """What a model is for."""

    BASE = "base"
    WARMSTART = "warmstart"
    APPRENTICE = "apprentice"
    SUPER_RESOLUTION = "super-resolution"
    CLIP = "clip"


DRAWING = frozenset({ModelKind.BASE, ModelKind.WARMSTART, ModelKind.APPRENTICE})


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """A model that can be named."""

    name: str
    kind: ModelKind
    sha256: str
    size_px: int = 0  # 0 for models that draw nothing
    description: str = ""
    run_id: str = ""
    promoted: bool = False
    sampling: SamplingRecipe = FALLBACK_SAMPLING
    form: SuperResolutionForm | None = None  # of a super-resolution model, with how it enlarges
    enlarging: EnlargingRecipe | None = None

    @property
    def factor(self) -> int:
        """How many times as wide and high it makes pictures; 0 for models that do not enlarge."""
        return self.form.factor if self.form else 0

    @property
    def sees_subjects(self) -> bool:
        """Whether it looks at demonstrations."""
        return self.kind in {ModelKind.WARMSTART, ModelKind.APPRENTICE}


def entries_below(catalogue: ModelCatalogue) -> list[ModelEntry]:
    """The models in a catalogue's folders by name; folders that are no models, or broken ones, are left out."""
    names = {
        folder.name
        for place in catalogue.search
        if place.is_dir()
        for folder in place.iterdir()
        if folder.is_dir() and not folder.name.startswith(".")
    }
    found: list[ModelEntry] = []
    for name in sorted(names):
        try:
            found.append(entry_of_folder(name, catalogue.find("model", name).sha256, catalogue.folder(name)))
        except (UnknownModel, ModelInvalid):
            continue
    return found


def entry_of_folder(name: str, sha256: str, folder: Path) -> ModelEntry:
    """The model in a folder.

    Raises:
        UnknownModel: the folder holds no model that Suti knows.
        ModelInvalid: one of its descriptions cannot be read.
    """

    def read(relative: str) -> dict[str, Any] | None:
        try:
            return cast("dict[str, Any]", json.loads((folder / relative).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ModelInvalid(f"{folder / relative}: {error}; copy the model anew") from error

    card = read("suti.json") or {}
    description = str(card.get("description") or card.get("source") or "")
    if (folder / _INDEX).is_file() and (form := super_resolution_form(read)) is not None:
        return ModelEntry(
            name=name,
            kind=ModelKind.SUPER_RESOLUTION,
            sha256=sha256,
            size_px=form.size_px,
            description=description,
            form=form,
            enlarging=_recipe(folder, form.recipe, read(SAMPLING_FILE)),
        )
    if (folder / _INDEX).is_file():
        kind = ModelKind.WARMSTART if (folder / _SUBJECT).is_file() else ModelKind.BASE
    elif (folder / "open_clip_config.json").is_file():
        kind = ModelKind.CLIP
    else:
        raise UnknownModel("model", f"{name!r} is no model's folder: it has no {_INDEX}")
    return ModelEntry(
        name=name,
        kind=kind,
        sha256=sha256,
        size_px=size_px_of(read) if kind in DRAWING else 0,
        description=description,
        sampling=_recipe(folder, FALLBACK_SAMPLING, read(SAMPLING_FILE)),
    )


def _recipe[Recipe: SamplingRecipe](folder: Path, fallback: Recipe, told: Mapping[str, Any] | None) -> Recipe:
    try:
        return type(fallback).model_validate(fallback.model_dump() | dict(told or {}))
    except ValidationError as error:
        raise ModelInvalid(f"{folder / SAMPLING_FILE}: {error}; correct the file") from error


def size_px_of(read: Callable[[str], dict[str, Any] | None]) -> int:
    """Height and width of what a model draws, by its parts' configuration alone."""
    size = (read("unet/config.json") or {}).get("sample_size")
    if not isinstance(size, int):
        raise ModelInvalid(f"unet/config.json: sample_size is {size!r}: state one height and width there")
    vae = read("vae/config.json")
    return size if vae is None else size * 2 ** (len(vae["block_out_channels"]) - 1)
