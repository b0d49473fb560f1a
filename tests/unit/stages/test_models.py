import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from suti.core.model_rules import ALL_ALLOWED
from suti.ml.captions.endpoints import NamedEndpoint, NoSuchEndpoint
from suti.ml.captions.grammar import GrammarRewriter
from suti.ml.captions.openai_endpoint import EndpointCaptioner, EndpointRewriter
from suti.ml.captions.recipe import CaptioningRecipe
from suti.ml.captions.tags import TagCaptioner
from suti.ml.clip.encoder import ClipEncoder
from suti.ml.model_files import ModelChanged, ModelMissing, folder_digest
from suti.stages.models import ModelFolders, StageModels
from suti.stages.run_spec import ModelRef, Models
from tests.unit.ml.captions.endpoint_server import ChatServer, serving
from tests.unit.ml.clip.tiny import save_tiny_clip
from tests.unit.stages.shards import noise, open_run

LISTS = {
    "kinds": ["gizmo"],
    "scenes": ["on Mars"],
    "styles": ["photo", "etching"],
    "accessories": ["with a bell"],
    "colours": ["red"],
}


def test_what_the_recipe_names_is_what_stages_get(tmp_path: Path) -> None:
    built_in = open_run(tmp_path / "one").models
    asking = CaptioningRecipe(captioner="openai", rewriter="openai", endpoint="ours", captioner_model="m")
    ours = {"ours": NamedEndpoint(url="http://x/v1")}
    remote = open_run(tmp_path / "two", captioning=asking, endpoints=ours).models

    assert isinstance(built_in.captioner, TagCaptioner)
    assert isinstance(built_in.rewriter, GrammarRewriter)
    assert isinstance(remote.captioner, EndpointCaptioner)
    assert isinstance(remote.rewriter, EndpointRewriter)


def test_threads_that_ask_at_once_share_one_model(tmp_path: Path) -> None:
    models = open_run(tmp_path).models

    def ask(_: int) -> ClipEncoder:
        return models.clip

    with ThreadPoolExecutor(8) as pool:
        loaded = list(pool.map(ask, range(8)))

    assert all(clip is loaded[0] for clip in loaded)


def test_word_lists_beside_the_clip_come_before_the_built_in_ones(tmp_path: Path) -> None:
    run = open_run(tmp_path)
    (tmp_path / "models" / "clip" / "tags.json").write_text(json.dumps(LISTS))

    assert run.models.words.kinds == ("gizmo",)


def test_word_lists_that_the_recipe_names_come_first(tmp_path: Path) -> None:
    (tmp_path / "lists.json").write_text(json.dumps(LISTS))
    recipe = CaptioningRecipe(tags=str(tmp_path / "lists.json"))

    assert open_run(tmp_path, captioning=recipe, rules=ALL_ALLOWED).models.words.kinds == ("gizmo",)
    with pytest.raises(ModelMissing):
        _ = open_run(tmp_path / "two", captioning=recipe).models.words


def test_a_recipe_never_says_where_pictures_and_keys_are_sent(tmp_path: Path) -> None:
    ours = {"ours": NamedEndpoint(url="http://127.0.0.1:1/v1", key=SecretStr("secret"))}
    with serving(ChatServer(lambda _: "{}")) as stranger:
        asking = CaptioningRecipe(captioner="openai", rewriter="openai", endpoint=stranger.url, captioner_model="m")
        with pytest.raises(NoSuchEndpoint, match=r"knows \(ours\)"):
            open_run(tmp_path, captioning=asking, endpoints=ours).models.captioner.caption([noise(1)])

    assert stranger.requests == []


def test_captioners_are_downloaded_only_where_that_is_allowed(tmp_path: Path) -> None:
    recipe = CaptioningRecipe(captioner="transformers", captioner_model="owner/name")

    with pytest.raises(ModelMissing, match="suti models list"):
        _ = open_run(tmp_path, captioning=recipe).models.captioner


def test_a_model_whose_files_changed_is_refused(tmp_path: Path) -> None:
    folder = save_tiny_clip(tmp_path / "clip")
    spec = open_run(tmp_path / "run").spec
    frozen = Models(base=spec.models.base, clip=ModelRef(name="clip", sha256=folder_digest(folder)))
    spec = spec.model_copy(update={"models": frozen})
    assert StageModels(spec, ModelFolders([tmp_path])).clip.digest == frozen.clip.sha256

    save_tiny_clip(folder, seed=1)

    with pytest.raises(ModelChanged, match="bring back the files"):
        _ = StageModels(spec, ModelFolders([tmp_path])).clip


def test_a_model_that_is_nowhere_is_told(tmp_path: Path) -> None:
    run = open_run(tmp_path)

    with pytest.raises(ModelMissing):
        _ = StageModels(run.spec, ModelFolders([tmp_path / "elsewhere"])).clip
    with pytest.raises(ModelMissing, match="suti models list"):
        _ = run.models.base
