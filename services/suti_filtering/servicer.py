"""The filtering service's gRPC API: translate, call, translate."""

from typing import Any

import grpc.aio
from google.protobuf.json_format import MessageToDict

from suti.api.filtering.v1 import filtering_pb2 as pb
from suti.api.filtering.v1 import filtering_pb2_grpc
from suti.api.types.v1.types_pb2 import ModelRef
from suti.core.errors import InvalidArgument
from suti.infra.store import Store
from suti.ml.captions.recipe import CaptioningRecipe
from suti.ml.quality.measuring import score_pictures
from suti.ml.quality.recipe import FilterRecipe
from suti.ml.quality.verdicts import Reason, Scores, judge, policy_digest
from suti.stages.loose_recipes import loose_recipe, loose_spec, models_of
from suti.stages.model_cache import ModelCache
from suti.stages.model_catalogue import ModelCatalogue
from suti.stages.one_thread import OneThread
from suti.stages.presets import PresetName
from suti.stages.sent_pictures import open_sent

_MAX_DEMONSTRATIONS, _MAX_CANDIDATES, _MAX_CHARS = 10, 64, 1_000

type Context = grpc.aio.ServicerContext[Any, Any]


class FilteringServicer(filtering_pb2_grpc.FilteringServiceServicer):
    """Judges candidates that callers send."""

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
        self._thread = OneThread("score", max_waiting=max_waiting)

    async def ScoreCandidates(self, request: pb.ScoreCandidatesRequest, context: Context) -> pb.ScoreCandidatesResponse:
        """A verdict for each candidate."""
        _check(request)
        return await self._thread.run(self._score, request)

    def _score(self, request: pb.ScoreCandidatesRequest) -> pb.ScoreCandidatesResponse:
        recipe = loose_recipe(
            FilterRecipe, "filtering", preset=self._preset, overrides=MessageToDict(request.overrides)
        )
        named = request.clip
        reference = self._catalogue.find("clip", named.name or self._clip, sha256=named.sha256, hub=True)
        clip = self._models.of(loose_spec(models_of(reference), CaptioningRecipe())).clip
        shown = [
            open_sent(one.picture, self._store, field=f"demonstrations[{index}].picture")
            for index, one in enumerate(request.demonstrations)
        ]
        drawn = [
            open_sent(one.picture, self._store, field=f"candidates[{index}].picture")
            for index, one in enumerate(request.candidates)
        ]
        prompts = [one.prompt for one in request.candidates]
        scores = score_pictures(clip, demonstrations=shown, candidates=drawn, prompts=prompts)
        return pb.ScoreCandidatesResponse(
            verdicts=[_verdict(one, judge(one, recipe)) for one in scores],
            policy_digest=policy_digest(recipe, clip_sha256=clip.digest),
            clip=ModelRef(name=reference.name, sha256=clip.digest),
        )


def _check(request: pb.ScoreCandidatesRequest) -> None:
    if not 1 <= len(request.demonstrations) <= _MAX_DEMONSTRATIONS:
        raise InvalidArgument("demonstrations", f"{len(request.demonstrations)}: send 1 to {_MAX_DEMONSTRATIONS}")
    if not 1 <= len(request.candidates) <= _MAX_CANDIDATES:
        raise InvalidArgument("candidates", f"{len(request.candidates)}: send 1 to {_MAX_CANDIDATES}")
    for index, one in enumerate(request.candidates):
        if not 1 <= len(one.prompt) <= _MAX_CHARS:
            raise InvalidArgument(f"candidates[{index}].prompt", f"give 1 to {_MAX_CHARS} characters")


def _verdict(scores: Scores, reason: Reason) -> pb.Verdict:
    return pb.Verdict(
        kept=reason is Reason.KEPT,
        reason=reason.value,
        gain=scores.gain,
        prompt_similarity=scores.prompt_similarity,
        copy_similarity=scores.copy_similarity,
        copy_difference=scores.copy_difference,
    )
