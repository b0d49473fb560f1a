"""The captioning service's gRPC API: translate, call, translate."""

from collections.abc import Mapping
from typing import Any, cast

import grpc.aio
from google.protobuf.json_format import MessageToDict
from pydantic import JsonValue

from suti.api.captioning.v1 import captioning_pb2 as pb
from suti.api.captioning.v1 import captioning_pb2_grpc
from suti.api.types.v1.types_pb2 import Skill as SkillMessage
from suti.core.errors import InvalidArgument, SutiError
from suti.core.records import Skill
from suti.infra.store import Store
from suti.ml.captions.alt_text import clean
from suti.ml.captions.recipe import CaptioningRecipe
from suti.stages.loose_recipes import loose_recipe, loose_spec, models_of
from suti.stages.model_cache import ModelCache
from suti.stages.model_catalogue import ModelCatalogue
from suti.stages.models import StageModels
from suti.stages.one_thread import OneThread
from suti.stages.presets import PresetName
from suti.stages.run_spec import ModelRef
from suti.stages.sent_pictures import SentPictureRefused, open_sent

_MAX_PICTURES, _MAX_ALT_CHARS, _MAX_TEXTS, _MAX_CHARS, _MAX_PROMPTS = 32, 10_000, 10, 1_000, 64

type Context = grpc.aio.ServicerContext[Any, Any]


class CaptioningServicer(captioning_pb2_grpc.CaptioningServiceServicer):
    """Captions pictures and proposes prompts that callers ask for."""

    def __init__(
        self,
        store: Store,
        models: ModelCache,
        catalogue: ModelCatalogue,
        *,
        preset: PresetName,
        clip: str,
        max_waiting: int = 64,
    ) -> None:
        self._store = store
        self._models = models
        self._catalogue = catalogue
        self._preset: PresetName = preset
        self._clip = clip
        self._thread = OneThread("caption", max_waiting=max_waiting)

    async def CaptionPictures(self, request: pb.CaptionPicturesRequest, context: Context) -> pb.CaptionPicturesResponse:
        """What each picture shows, or why that cannot be said."""
        if not 1 <= len(request.pictures) <= _MAX_PICTURES:
            raise InvalidArgument("pictures", f"{len(request.pictures)}: send 1 to {_MAX_PICTURES}")
        for index, one in enumerate(request.pictures):
            if len(one.alt_text) > _MAX_ALT_CHARS:
                raise InvalidArgument(f"pictures[{index}].alt_text", f"give at most {_MAX_ALT_CHARS} characters")
        return await self._thread.run(self._caption, request)

    async def ProposePrompts(self, request: pb.ProposePromptsRequest, context: Context) -> pb.ProposePromptsResponse:
        """Texts that nobody has a picture for."""
        if not 1 <= len(request.texts) <= _MAX_TEXTS:
            raise InvalidArgument("texts", f"{len(request.texts)}: send 1 to {_MAX_TEXTS}")
        if any(len(text) > _MAX_CHARS for text in request.texts):
            raise InvalidArgument("texts", f"one is too long: give at most {_MAX_CHARS} characters each")
        if request.count > _MAX_PROMPTS:
            raise InvalidArgument("count", f"{request.count}: ask for {_MAX_PROMPTS} at most")
        if request.seed >= 2**63:
            raise InvalidArgument("seed", f"{request.seed} is too large: give one below 2^63")
        return await self._thread.run(self._propose, request)

    def _caption(self, request: pb.CaptionPicturesRequest) -> pb.CaptionPicturesResponse:
        models, recipe = self._asked(cast("Mapping[str, JsonValue]", MessageToDict(request.overrides)))
        answer = pb.CaptionPicturesResponse(
            captioner=_backend(recipe.captioner, recipe.captioner_model or self._clip),
            rewriter=_backend(recipe.rewriter, recipe.rewriter_model),
        )
        for index, one in enumerate(request.pictures):
            caption = answer.captions.add()
            try:
                picture = open_sent(one.picture, self._store, field=f"pictures[{index}].picture")
                caption.caption = models.captioner.caption([picture])[0]
                caption.text = models.rewriter.refine([clean(one.alt_text)], [caption.caption])[0]
            except SentPictureRefused as error:
                caption.error_reason, caption.error_message = error.reason, str(error)
        return answer

    def _propose(self, request: pb.ProposePromptsRequest) -> pb.ProposePromptsResponse:
        models, recipe = self._asked(cast("Mapping[str, JsonValue]", MessageToDict(request.overrides)))
        wanted = {_skill(one) for one in request.skills} or set(Skill)
        count = request.count or 1
        # Skills come in turn, so that enough of those wanted are among four times as many.
        proposed = models.rewriter.propose(
            list(request.texts), count=count if wanted == set(Skill) else 4 * count, seed=request.seed
        )
        return pb.ProposePromptsResponse(
            prompts=[
                pb.ProposedPrompt(skill=SkillMessage.Value(f"SKILL_{one.skill.name}"), text=one.text)
                for one in proposed
                if one.skill in wanted
            ][:count],
            rewriter=_backend(recipe.rewriter, recipe.rewriter_model),
        )

    def _asked(self, overrides: Mapping[str, JsonValue]) -> tuple[StageModels, CaptioningRecipe]:
        recipe = loose_recipe(CaptioningRecipe, "captioning", preset=self._preset, overrides=overrides)
        try:
            clip = self._catalogue.find("clip", self._clip, hub=True)
        except SutiError as error:
            if recipe.captioner == "tags":
                raise InvalidArgument("clip", f"{error}; or set SUTI_CAPTIONING_CLIP") from error
            clip = ModelRef(name=self._clip)  # of which nothing but word lists would be wanted
        return self._models.of(loose_spec(models_of(clip), recipe)), recipe


def _skill(skill: "SkillMessage.ValueType") -> Skill:
    try:
        return Skill[SkillMessage.Name(skill).removeprefix("SKILL_")]
    except (KeyError, ValueError) as error:
        raise InvalidArgument("skills", f"{skill} is none: leave the list empty for all four") from error


def _backend(kind: str, model: str) -> str:
    return f"{kind}:{model}" if model else kind
