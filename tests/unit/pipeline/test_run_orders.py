"""How a run is frozen: models by hash, input by hash, overrides field by field, and clear refusals."""

import hashlib
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import JsonValue

from suti.core.errors import InvalidArgument
from suti.core.model_rules import ALL_ALLOWED, ModelRules
from suti.infra.store import Store
from suti.ml.experts.recipe import ExpertRecipe
from suti.ml.model_files import folder_digest
from suti.stages.crawls import CrawlNotOffered, check_offered
from suti.stages.model_catalogue import ModelCatalogue, UnknownModel
from suti.stages.presets import TOY, merged
from suti.stages.run_orders import ModelChoice, RunOrder, freeze, write_run
from suti.stages.run_spec import RunSpec, load_run_spec

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def crawl(tmp_path: Path) -> Path:
    path = tmp_path / "crawl.warc.gz"
    path.write_bytes(b"not read here")
    return path


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for name in ("base", "clip", "warmstart"):
        folder = tmp_path / "models" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"name": name}))
    return tmp_path / "models"


def frozen(order: RunOrder, models: Path) -> RunSpec:
    catalogue = ModelCatalogue([models], ModelRules(downloads=True))
    return freeze(order, run_id="01RUN", created_at=NOW, catalogue=catalogue, crawl_roots=["/"])


def test_a_run_is_frozen_with_the_hashes_of_its_crawl_and_its_models(crawl: Path, models: Path) -> None:
    spec = frozen(RunOrder(url=str(crawl)), models)

    assert spec.input.format == "warc"
    assert spec.input.sha256 == hashlib.sha256(b"not read here").hexdigest()
    assert spec.models.base.sha256 == folder_digest(models / "base")
    assert spec.models.warmstart is not None
    assert spec.environment.versions["torch"]


def test_what_was_frozen_is_read_back_the_same_and_a_second_writer_changes_nothing(
    crawl: Path, models: Path, tmp_path: Path
) -> None:
    store = Store.open(f"file://{tmp_path}/store")
    spec = frozen(RunOrder(url=str(crawl), overrides={"experts": {"steps": 7}}), models)

    write_run(store, spec)
    write_run(store, spec.model_copy(update={"seed": 99}))

    assert load_run_spec(store, "01RUN") == spec


def test_overrides_change_the_named_fields_alone(crawl: Path, models: Path) -> None:
    plain = frozen(RunOrder(url=str(crawl)), models)
    # As they come from a protobuf Struct: every number a float.
    spec = frozen(RunOrder(url=str(crawl), overrides={"experts": {"steps": 7.0, "sampling": {"steps": 3.0}}}), models)

    assert (spec.experts.steps, spec.experts.sampling.steps) == (7, 3)
    assert spec.experts.sampling.guidance == plain.experts.sampling.guidance
    assert spec.captioning == plain.captioning


def test_the_paper_preset_is_the_recipes_defaults(crawl: Path, models: Path) -> None:
    spec = frozen(RunOrder(url=str(crawl), preset="paper", models={"base": ModelChoice("base")}), models)

    assert spec.experts == ExpertRecipe.model_validate({})
    assert (spec.selection.similarity_low, spec.filtering.min_gain, spec.apprentice.steps) == (0.82, 0.02, 150_000)
    assert (spec.models.clip.name, spec.models.clip.sha256) == ("ViT-L-14/openai", "")


def test_thresholds_kept_beside_a_clip_come_before_the_presets_and_after_the_callers(crawl: Path, models: Path) -> None:
    (models / "clip" / "thresholds.json").write_text('{"similarity_low": 0.61, "min_gain": 0.013}')

    found = frozen(RunOrder(url=str(crawl)), models)
    asked = frozen(RunOrder(url=str(crawl), overrides={"selection": {"similarity_low": 0.1}}), models)

    assert (found.selection.similarity_low, found.filtering.min_gain) == (0.61, 0.013)
    assert (asked.selection.similarity_low, asked.filtering.min_gain) == (0.1, 0.013)


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        ({"nonsense": {}}, "overrides.nonsense"),
        ({"experts": {"stepz": 3}}, "overrides.experts.stepz"),
        ({"experts": {"steps": -1}}, "overrides.experts.steps"),
        ({"experts": {"steps": 2.5}}, "overrides.experts.steps"),
        ({"experts": {"sampling": {"sampler": "magic"}}}, "overrides.experts.sampling.sampler"),
        ({"experts": 3}, "overrides.experts"),
        ({"run_id": {}}, "overrides.run_id"),
        ({"environment": {"cpu_flags": []}}, "overrides.environment.cpu_flags"),
        ({"selection": {"similarity_low": 0.9, "similarity_high": 0.1}}, "overrides.selection"),
    ],
)
def test_a_bad_override_is_refused_with_the_name_of_its_field(
    overrides: dict[str, JsonValue], field: str, crawl: Path, models: Path
) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        frozen(RunOrder(url=str(crawl), overrides=overrides), models)

    assert (refusal.value.reason, refusal.value.field) == ("BAD_OVERRIDE", field)


@pytest.mark.parametrize("url", ["/no/such/crawl.warc", "crawl.warc.gz", "/dev/null"])
def test_a_crawl_that_cannot_be_read_is_refused(url: str, models: Path) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        frozen(RunOrder(url=url), models)

    assert refusal.value.reason == "CRAWL_MISSING"


def test_an_unknown_model_is_refused_with_its_role(crawl: Path, models: Path) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        frozen(RunOrder(url=str(crawl), models={"base": ModelChoice("nobody")}), models)

    assert (refusal.value.reason, refusal.value.field) == ("UNKNOWN_MODEL", "models.base")


def test_a_model_that_is_not_the_one_meant_is_refused(crawl: Path, models: Path) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        frozen(RunOrder(url=str(crawl), models={"clip": ModelChoice("clip", sha256="0" * 64)}), models)

    assert refusal.value.field == "models.clip"


def test_layers_are_merged_however_deep_and_none_of_them_is_changed() -> None:
    first: dict[str, JsonValue] = {"a": {"b": {"c": 1, "d": 2}}, "e": 3}

    assert merged(first, {"a": {"b": {"d": 4}}, "f": [5]}) == {"a": {"b": {"c": 1, "d": 4}}, "e": 3, "f": [5]}
    assert first == {"a": {"b": {"c": 1, "d": 2}}, "e": 3}


def test_the_toy_preset_is_valid_as_it_stands(crawl: Path, models: Path) -> None:
    spec = frozen(RunOrder(url=str(crawl)), models).model_dump(mode="json")

    assert {name: merged(spec[name], value) if isinstance(value, dict) else value for name, value in TOY.items()} == {
        name: spec[name] for name in TOY
    }


@pytest.mark.parametrize(
    ("url", "roots", "offered"),
    [
        ("/data/crawls/a.warc", ["/data/crawls"], True),
        ("file:///data/crawls/a.warc", ["/data/crawls/"], True),
        ("/data/crawls/../secrets/a.warc", ["/data/crawls"], False),
        ("/data/crawls-of-others/a.warc", ["/data/crawls"], False),
        ("/etc/passwd", ["s3://"], False),
        ("/etc/passwd", [], False),
        ("s3://mine/a/", ["s3://"], True),
        ("s3://mine", ["s3://mine/"], True),
        ("s3://mine-too/a", ["s3://mine"], False),
        ("https://169.254.169.254/a.warc", ["/", "s3://"], False),
    ],
)
def test_crawls_are_read_only_from_where_the_operator_offers_them(url: str, roots: list[str], offered: bool) -> None:
    if offered:
        check_offered(url, roots)
    else:
        with pytest.raises(CrawlNotOffered, match="CRAWL_ROOTS"):
            check_offered(url, roots)


def test_a_link_leads_no_further_than_its_target(tmp_path: Path) -> None:
    (tmp_path / "crawls").mkdir()
    (tmp_path / "crawls" / "link").symlink_to("/etc")

    with pytest.raises(CrawlNotOffered):
        check_offered(f"{tmp_path}/crawls/link/passwd", [f"{tmp_path}/crawls"])


def test_callers_name_models_by_path_or_from_hubs_only_where_that_is_allowed(crawl: Path, models: Path) -> None:
    elsewhere = models.parent / "elsewhere"
    shutil.copytree(models / "base", elsewhere)
    strict = ModelCatalogue([models])

    assert strict.find("base", str(models / "base")).sha256 == folder_digest(models / "base")
    with pytest.raises(UnknownModel, match="suti models list"):
        strict.find("base", str(elsewhere))
    with pytest.raises(UnknownModel, match="MODEL_DOWNLOADS"):
        strict.find("clip", "ViT-L-14/openai", hub=True)
    assert ModelCatalogue([models], ALL_ALLOWED).find("base", str(elsewhere)).name == str(elsewhere)
