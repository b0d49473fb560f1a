"""Where models may come from, besides the folders that an operator offers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelRules:
    """What callers may name. By default nothing but what lies below the search paths."""

    anywhere: bool = False  # a model's folder by its whole path, wherever it lies
    downloads: bool = False  # a name that a hub resolves; whoever works on it downloads it


OFFERED_ALONE = ModelRules()
ALL_ALLOWED = ModelRules(anywhere=True, downloads=True)  # on the caller's own machine
