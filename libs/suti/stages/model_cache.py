"""The models of the last few runs, kept loaded: runs that name the same models share them."""

import os
from collections import OrderedDict
from pathlib import Path
from threading import Lock

from suti.core.model_rules import OFFERED_ALONE, ModelRules
from suti.ml.captions.endpoints import NO_ENDPOINTS, Endpoints
from suti.stages.models import ModelFolders, StageModels
from suti.stages.run_spec import RunSpec


class ModelCache:
    """Hands out `StageModels`, the same for runs whose models and captioning recipe are the same."""

    def __init__(
        self,
        models_path: str,
        *,
        rules: ModelRules = OFFERED_ALONE,
        device: str = "cpu",
        endpoints: Endpoints = NO_ENDPOINTS,
        keep: int = 2,
    ) -> None:
        self.folders = ModelFolders([Path(place) for place in models_path.split(os.pathsep) if place], rules)
        self._device = device
        self._endpoints = endpoints
        self._keep = keep
        self._models: OrderedDict[str, StageModels] = OrderedDict()
        self._lock = Lock()

    def of(self, spec: RunSpec) -> StageModels:
        """The run's models; they load when they are first used."""
        name = spec.models.model_dump_json() + spec.captioning.model_dump_json()
        with self._lock:
            if name not in self._models:
                self._models[name] = StageModels(spec, self.folders, device=self._device, endpoints=self._endpoints)
                while len(self._models) > self._keep:
                    self._models.popitem(last=False)
            self._models.move_to_end(name)
            return self._models[name]
