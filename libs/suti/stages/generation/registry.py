"""The models that requests may name: folders on this machine, and apprentices that runs trained, in the store."""

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from opentelemetry import trace

from suti.core import keys
from suti.core.records import Stage
from suti.infra.ledger import Commit, Ledger, Part, PartCorrupt
from suti.infra.store import BadKey, ObjectMissing, Store
from suti.ml.model_files import ModelInvalid
from suti.ml.subject.files import SubjectModel, load_subject_model
from suti.ml.super_resolution.files import SuperResolutionModel, load_super_resolution
from suti.stages.apprentice import MODEL
from suti.stages.generation.entries import DRAWING, ModelEntry, ModelKind, entries_below, entry_of_folder, size_px_of
from suti.stages.generation.unpacking import unpack
from suti.stages.model_catalogue import ModelCatalogue, UnknownModel
from suti.stages.outcome import weights_sha256
from suti.stages.run_spec import load_run_spec

_tracer = trace.get_tracer("suti.stages")

_RUN_MODELS = "runs/"  # before the ids of runs, in the names of their apprentices


class ModelRegistry:
    """Finds models by name and keeps the last few loaded. Safe between threads; a load blocks others."""

    def __init__(
        self,
        store: Store,
        catalogue: ModelCatalogue,
        *,
        cache: Path,
        keep: int = 3,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._cache = cache  # where apprentices from the store are unpacked
        self._keep = keep
        self._device = device
        self._dtype = dtype
        self._loaded: OrderedDict[str, SubjectModel] = OrderedDict()
        self._enlargers: OrderedDict[str, SuperResolutionModel] = OrderedDict()
        self._runs: dict[str, ModelEntry] = {}  # commits never change, so each is read once
        self._lock = Lock()

    def entries(self) -> list[ModelEntry]:
        """All models, the promoted one first, then by name; folders that are none are left out."""
        found = entries_below(self._catalogue)
        for run_id in self._trained_runs():
            try:
                found.append(self._of_run(run_id))
            except (ModelInvalid, PartCorrupt, ObjectMissing):
                continue
        promoted = self.promoted()
        found = [replace(entry, promoted=entry.name == promoted) for entry in found]
        return sorted(found, key=lambda entry: (not entry.promoted, entry.name))

    def promoted(self) -> str:
        """The name of the promoted apprentice, empty if nobody promoted one."""
        try:
            record: dict[str, Any] = json.loads(self._store.get(keys.PROMOTED_MODEL))
        except ObjectMissing:
            return ""
        return f"{_RUN_MODELS}{record['run_id']}"

    def find(self, name: str) -> ModelEntry:
        """The model that draws under that name; no name means the promoted apprentice.

        Raises:
            UnknownModel: there is none, or it draws nothing.
            ModelInvalid: its folder lacks a file.
        """
        promoted = self.promoted()
        if not name and not promoted:
            raise UnknownModel("model", "none is promoted: name one of `suti models list`, or promote an apprentice")
        entry = self._find(name or promoted)
        if entry.kind not in DRAWING:
            raise UnknownModel("model", f"{entry.name!r} is of kind {entry.kind}: name one that draws")
        return replace(entry, promoted=entry.name == promoted)

    def find_enlarger(self, name: str) -> ModelEntry:
        """The model that enlarges under that name.

        Raises:
            UnknownModel: there is none, or it does not enlarge.
            ModelInvalid: its folder lacks a file.
        """
        if name.startswith(_RUN_MODELS):
            raise UnknownModel("enlarge_with", f"{name[:64]!r} draws: name a super-resolution model")
        entry = self._find(name, field="enlarge_with")
        if entry.kind is not ModelKind.SUPER_RESOLUTION:
            raise UnknownModel("enlarge_with", f"{name!r} is of kind {entry.kind}: name a super-resolution model")
        return entry

    def load_enlarger(self, entry: ModelEntry) -> SuperResolutionModel:
        """The model, ready to enlarge. As many are kept as of those that draw. Raises ModelInvalid, ModelUnsafe."""
        with self._lock:
            return _kept(
                self._enlargers,
                entry,
                lambda: load_super_resolution(self._place(entry.name), device=self._device, dtype=self._dtype),
                keep=self._keep,
            )

    def load(self, entry: ModelEntry) -> SubjectModel:
        """The model, ready to draw.

        Raises:
            ModelInvalid, ModelUnsafe, SubjectWeightsInvalid, PartCorrupt: its files are not what they should be.
            UnknownModel: its run was deleted.
        """
        with self._lock:
            return _kept(self._loaded, entry, lambda: self._load(entry), keep=self._keep)

    def _load(self, entry: ModelEntry) -> SubjectModel:
        model = load_subject_model(self._folder(entry), device=self._device, dtype=self._dtype)
        model.base.unet.eval()
        model.network.eval().requires_grad_(False)
        return model

    def _find(self, name: str, *, field: str = "model") -> ModelEntry:
        if name.startswith(_RUN_MODELS):
            return self._of_run(name.removeprefix(_RUN_MODELS))
        unknown = UnknownModel(field, f"no model {name[:64]!r}: see `suti models list`")
        if Path(name).is_absolute():  # no caller may have folders of this machine read that are not offered
            raise unknown
        try:
            reference = self._catalogue.find("model", name)
        except UnknownModel:
            raise unknown from None
        return entry_of_folder(name, reference.sha256, self._place(name))

    def _of_run(self, run_id: str) -> ModelEntry:
        if run_id not in self._runs:
            self._runs[run_id] = self._read_run(run_id)
        return self._runs[run_id]

    def _read_run(self, run_id: str) -> ModelEntry:
        commit = self._commit(run_id)
        if commit is None:
            raise UnknownModel("model", f"run {run_id[:64]!r} has no apprentice yet: see `suti run list`")
        files = _configurations(commit)
        ledger = Ledger(self._store, run_id)
        return ModelEntry(
            name=f"{_RUN_MODELS}{run_id}",
            kind=ModelKind.APPRENTICE,
            sha256=weights_sha256(commit),
            size_px=size_px_of(lambda name: json.loads(ledger.read(files[name])) if name in files else None),
            description=f"apprentice of {commit.counts.get('items_in', 0)} examples",
            run_id=run_id,
            sampling=load_run_spec(self._store, run_id).generation,
        )

    def _commit(self, run_id: str) -> Commit | None:
        try:
            return Ledger(self._store, run_id).find(Stage.APPRENTICE, 0)
        except BadKey:  # no run could have such a name
            return None

    def _trained_runs(self) -> list[str]:
        runs = self._store.folders(keys.RUNS)
        return [run_id for run_id in runs if self._store.exists(keys.commit(run_id, Stage.APPRENTICE, 0))]

    def _folder(self, entry: ModelEntry) -> Path:
        return self._unpacked(entry) if entry.run_id else self._place(entry.name)

    def _place(self, name: str) -> Path:
        return self._catalogue.folder(name)

    def _unpacked(self, entry: ModelEntry) -> Path:
        """The apprentice's folder on this machine, as its commit says."""
        folder, commit = self._cache / entry.sha256, self._commit(entry.run_id)
        if commit is None:
            raise UnknownModel("model", f"run {entry.run_id} was deleted: see `suti run list`")
        unpack(Ledger(self._store, entry.run_id), commit, folder)
        return folder


def _kept[Model](held: OrderedDict[str, Model], entry: ModelEntry, load: Callable[[], Model], *, keep: int) -> Model:
    """The entry's model, loaded if it is not held; of the others those used least lately are let go."""
    if entry.sha256 not in held:
        with _tracer.start_as_current_span(f"load {entry.name}"):
            held[entry.sha256] = load()
        while len(held) > keep:
            held.popitem(last=False)
    held.move_to_end(entry.sha256)
    return held[entry.sha256]


def _configurations(commit: Commit) -> dict[str, Part]:
    """An apprentice commit's small files by their path within the model's folder."""
    return {part.name.removeprefix(MODEL): part for part in commit.parts if part.name.endswith("config.json")}
