"""The model that `suti evaluate` is to put to the test, wherever it lies."""

from pathlib import Path
from typing import TYPE_CHECKING

from suti.local.folder import DataFolder, models_path

if TYPE_CHECKING:
    from suti.ml.subject.files import SubjectModel
    from suti.stages.generation.entries import ModelEntry


def load_drawing_model(name: str, data: Path) -> "tuple[ModelEntry, SubjectModel]":
    """The model that is meant, from a folder, from what is installed or imported, or from the data folder's runs."""
    from suti.core.model_rules import ALL_ALLOWED  # noqa: PLC0415
    from suti.infra.store import Store  # noqa: PLC0415 - not needed otherwise
    from suti.ml.model_files import folder_digest  # noqa: PLC0415
    from suti.ml.subject.files import load_subject_model  # noqa: PLC0415
    from suti.stages.generation.entries import DRAWING, entry_of_folder  # noqa: PLC0415
    from suti.stages.generation.registry import ModelRegistry  # noqa: PLC0415
    from suti.stages.model_catalogue import ModelCatalogue, UnknownModel  # noqa: PLC0415

    here, folder = DataFolder(data.absolute()), Path(name).expanduser()
    catalogue = ModelCatalogue.from_path(models_path(here), ALL_ALLOWED)
    given = bool(name) and folder.is_dir()
    if not given and here.store.is_dir():  # where runs are, and what was promoted
        registry = ModelRegistry(Store.open(here.store_url), catalogue, cache=here.model_cache, keep=1)
        entry = registry.find(name)
        return entry, registry.load(entry)
    if not name:
        raise UnknownModel("model", f"{data} is no data folder of `suti up`: name one with --data, or a model")
    folder = folder if given else catalogue.folder(name)
    entry = entry_of_folder(folder.resolve().name, folder_digest(folder), folder)
    if entry.kind not in DRAWING:
        raise UnknownModel("model", f"{name} is of kind {entry.kind}: name one that draws")
    model = load_subject_model(folder)
    model.network.eval().requires_grad_(False)
    return entry, model
