"""Names of models to what a run is frozen with: the same name and the hash of its files. Without torch."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

from pydantic import JsonValue

from suti.core.errors import BadConfiguration, InvalidArgument
from suti.core.model_rules import OFFERED_ALONE, ModelRules
from suti.ml.model_files import ModelMissing, folder_digest, resolve
from suti.stages.run_spec import ModelRef

THRESHOLDS_FILE = "thresholds.json"
_SECTION_OF = {
    "similarity_low": "selection",
    "similarity_high": "selection",
    "outlier_similarity": "selection",
    "min_gain": "filtering",
    "max_copy_similarity": "filtering",
    "min_copy_difference": "filtering",
    "min_subject_similarity": "filtering",
}


class UnknownModel(InvalidArgument):
    """A run names a model that there is not."""

    reason: ClassVar[str] = "UNKNOWN_MODEL"
    grpc_code = "NOT_FOUND"


class ThresholdsInvalid(BadConfiguration):
    """A CLIP's thresholds.json is none."""

    reason: ClassVar[str] = "THRESHOLDS_INVALID"


class ModelCatalogue:
    """The models below the search paths. Hashes are kept until a file changes."""

    def __init__(self, search: Sequence[Path], rules: ModelRules = OFFERED_ALONE) -> None:
        self.search = tuple(search)
        self._rules = rules
        self._digests: dict[tuple[str, str], str] = {}

    @classmethod
    def from_path(cls, path: str, rules: ModelRules = OFFERED_ALONE) -> "ModelCatalogue":
        """The catalogue of a list of folders, separated as PATH is."""
        return cls([Path(place) for place in path.split(os.pathsep) if place], rules)

    def folder(self, name: str) -> Path:
        """The folder of that name, as far as the rules allow. Raises ModelMissing."""
        return resolve(name, self.search, anywhere=self._rules.anywhere)

    def find(self, role: str, name: str, *, sha256: str = "", hub: bool = False) -> ModelRef:
        """The model with its hash. With `hub`, a name such as `ViT-L-14/openai` is left for open_clip, where the
        rules allow downloads.

        Raises:
            UnknownModel: there is no such model, or it is not the one whose hash was given.
        """
        try:
            folder = self.folder(name)
        except ModelMissing as error:
            hub_name = hub and name and not Path(name).is_absolute() and "/" in name and not sha256
            if hub_name and self._rules.downloads:
                return ModelRef(name=name, sha256="")
            hint = "; of hubs only where MODEL_DOWNLOADS is set" if hub_name else ""
            raise UnknownModel(f"models.{role}", f"{error}{hint}") from error
        digest = self._digest(folder)
        if sha256 and digest != sha256:
            raise UnknownModel(
                f"models.{role}", f"{name!r} hashes to {digest[:12]}, not {sha256[:12]}: name the model that is meant"
            )
        return ModelRef(name=name, sha256=digest)

    def thresholds(self, clip: ModelRef) -> Mapping[str, JsonValue]:
        """The thresholds that belong to a CLIP, as overrides; nothing where none are kept beside it."""
        try:
            path = self.folder(clip.name) / THRESHOLDS_FILE
            fields = cast("dict[str, Any]", json.loads(path.read_bytes()))
            return _overrides(fields)
        except (ModelMissing, FileNotFoundError):
            return {}
        except (ValueError, AttributeError) as error:
            raise ThresholdsInvalid(
                f"{clip.name}: {THRESHOLDS_FILE} cannot be read ({error}): run `suti models calibrate` again"
            ) from error

    def _digest(self, folder: Path) -> str:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        stamp = ",".join(f"{path}:{path.stat().st_size}:{path.stat().st_mtime_ns}" for path in files)
        key = (str(folder), stamp)
        if key not in self._digests:
            self._digests[key] = folder_digest(folder)
        return self._digests[key]


def _overrides(fields: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    sections: dict[str, dict[str, JsonValue]] = {}
    for name, section in _SECTION_OF.items():
        if fields.get(name) is not None:  # null: not calibrated
            sections.setdefault(section, {})[name] = fields[name]
    return {section: dict(values) for section, values in sections.items()}
