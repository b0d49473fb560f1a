"""What a caller wants of a run, and how it is frozen into a run's description."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from pydantic import JsonValue, ValidationError

from suti.core import keys
from suti.core.environment import cpu_flags, package_versions
from suti.core.errors import InvalidArgument
from suti.infra.store import Store
from suti.stages.crawls import CrawlFormat, check_offered, look_at_crawl
from suti.stages.model_catalogue import ModelCatalogue, UnknownModel
from suti.stages.presets import PRESET_MODELS, PRESETS, SECTIONS, PresetName, merged
from suti.stages.recipe_fields import nearest
from suti.stages.run_spec import Models, RunSpec

_ENVIRONMENT = frozenset({"torch_threads", "dtype"})  # the rest of it is found, not wished for


class BadOverride(InvalidArgument):
    """An override names a field that there is not, or gives it a value that it cannot have."""

    reason: ClassVar[str] = "BAD_OVERRIDE"


@dataclass(frozen=True)
class ModelChoice:
    """A model that a caller names; the hash only where the caller insists on it."""

    name: str
    sha256: str = ""


@dataclass(frozen=True)
class RunOrder:
    """A run as wanted. What is None or missing is the preset's."""

    url: str
    format: CrawlFormat | None = None
    preset: PresetName = "toy"
    seed: int = 0
    models: Mapping[str, ModelChoice] = field(default_factory=dict[str, ModelChoice])  # by role
    overrides: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    created_by: str = "anonymous"


def freeze(
    order: RunOrder, *, run_id: str, created_at: datetime, catalogue: ModelCatalogue, crawl_roots: Sequence[str]
) -> RunSpec:
    """The run's description with everything in it that changes a result. Its crawl must lie below one of the roots.

    Raises:
        CrawlNotOffered, CrawlMissing, UnknownModel, BadOverride: each names the field that is wrong.
    """
    check_offered(order.url, crawl_roots)
    crawl = look_at_crawl(order.url, order.format)
    models = _models(order, catalogue)
    check_sections(order.overrides)
    recipes = merged(PRESETS[order.preset], catalogue.thresholds(models.clip), order.overrides)
    spec = validated(
        {
            **recipes,
            "environment": {
                **_section(recipes, "environment"),
                "cpu_flags": list(cpu_flags()),
                "versions": dict(package_versions()),
            },
            "run_id": run_id,
            "created_at": created_at.isoformat(),
            "created_by": order.created_by,
            "seed": order.seed,
            "preset": order.preset,
            "overrides": dict(order.overrides),
            "input": crawl.model_dump(mode="json"),
            "models": models.model_dump(mode="json"),
        }
    )
    if spec.apprentice.start == "warmstart" and spec.models.warmstart is None:
        raise UnknownModel("models.warmstart", "the apprentice shall start from it: name one, or start from the base")
    return spec


def write_run(store: Store, spec: RunSpec) -> None:
    """The run exists from now on; a run of that id that exists already stays as it is."""
    store.create(keys.run_spec(spec.run_id), spec.model_dump_json(indent=1).encode())


def check_sections(overrides: Mapping[str, JsonValue]) -> None:
    """Does nothing for overrides of recipes. Raises BadOverride for anything else that `run.json` has."""
    for name, value in overrides.items():
        if name not in SECTIONS:
            raise BadOverride(f"overrides.{name}", f"there is no such recipe: use {', '.join(sorted(SECTIONS))}")
        if not isinstance(value, dict):
            raise BadOverride(f"overrides.{name}", f'{value!r} is no recipe: give fields, such as {{"steps": 200}}')
    for name in _section(overrides, "environment"):
        if name not in _ENVIRONMENT:
            raise BadOverride(f"overrides.environment.{name}", f"only {', '.join(sorted(_ENVIRONMENT))} may be chosen")


def validated(fields: Mapping[str, JsonValue]) -> RunSpec:
    """The description of these fields. Raises BadOverride, which names the first field that is wrong."""
    try:
        return RunSpec.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(step) for step in first["loc"]) or "overrides"
        problem, given = first["msg"], f" (given: {str(first['input'])[:80]})"
        if first["type"] == "extra_forbidden":
            meant = nearest(place)
            problem, given = "there is no such field" + (f", did you mean {meant}?" if meant else ""), ""
        raise BadOverride(f"overrides.{place}", f"{problem}{given}: correct it or leave it out") from error


def _models(order: RunOrder, catalogue: ModelCatalogue) -> Models:
    chosen = {role: ModelChoice(name) for role, name in PRESET_MODELS[order.preset].items()} | dict(order.models)
    if "base" not in chosen:
        raise UnknownModel("models.base", f"the preset {order.preset!r} has no base: name one of `suti models list`")
    warmstart = chosen.get("warmstart")
    return Models(
        base=catalogue.find("base", chosen["base"].name, sha256=chosen["base"].sha256),
        clip=catalogue.find("clip", chosen["clip"].name, sha256=chosen["clip"].sha256, hub=True),
        warmstart=catalogue.find("warmstart", warmstart.name, sha256=warmstart.sha256) if warmstart else None,
    )


def _section(fields: Mapping[str, JsonValue], name: str) -> dict[str, JsonValue]:
    value = fields.get(name)
    return dict(value) if isinstance(value, dict) else {}
