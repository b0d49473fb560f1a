"""The filtering service's gRPC API: translate, call, translate."""

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc.aio
import numpy as np
import torch
from google.protobuf.json_format import MessageToDict
from PIL import Image

from suti.api.filtering.v1 import filtering_pb2 as pb
from suti.api.filtering.v1 import filtering_pb2_grpc
from suti.api.types.v1.types_pb2 import ModelRef
from suti.core.errors import InvalidArgument
from suti.infra.store import Store
from suti.ml.captions.recipe import CaptioningRecipe
from suti.ml.clip.encoder import ClipEncoder
from suti.ml.quality.copies import copy_difference, copy_similarity, low_resolution, shows_nothing
from suti.ml.quality.gain import clip_gain, prompt_similarity
from suti.ml.quality.recipe import FilterRecipe
from suti.ml.quality.verdicts import FAILED, Reason, Scores, judge, policy_digest
from suti.stages.loose_recipes import loose_recipe, loose_spec, models_of
from suti.stages.model_cache import ModelCache
from suti.stages.model_catalogue import ModelCatalogue
from suti.stages.presets import PresetName
from suti.stages.sent_pictures import open_sent

_MAX_DEMONSTRATIONS, _MAX_CANDIDATES, _MAX_CHARS = 10, 64, 1_000

type Context = grpc.aio.ServicerContext[Any, Any]


class FilteringServicer(filtering_pb2_grpc.FilteringServiceServicer):
    """Judges candidates that callers send."""

    def __init__(
        self, store: Store, models: ModelCache, catalogue: ModelCatalogue, *, preset: PresetName, clip: str
    ) -> None:
        self._store = store
        self._models = models
        self._catalogue = catalogue
        self._preset: PresetName = preset
        self._clip = clip
        self._one_at_a_time = asyncio.Lock()

    async def ScoreCandidates(self, request: pb.ScoreCandidatesRequest, context: Context) -> pb.ScoreCandidatesResponse:
        """A verdict for each candidate."""
        _check(request)
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._score, request)

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
        scores = _measure(clip, shown, drawn, [one.prompt for one in request.candidates])
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


def _measure(
    clip: ClipEncoder, shown: Sequence[Image.Image], drawn: Sequence[Image.Image], prompts: Sequence[str]
) -> list[Scores]:
    demos_KD = clip.encode_pictures(shown)
    demos_KSS3 = np.stack([low_resolution(picture) for picture in shown])
    demos_NKD = demos_KD.expand(len(drawn), -1, -1)
    image_ND, text_ND = clip.encode_pictures(drawn), clip.encode_texts(list(prompts))
    gains: list[float] = clip_gain(text_ND, image_ND, demos_NKD).tolist()
    fits: list[float] = prompt_similarity(text_ND, image_ND).tolist()
    copies: list[float] = copy_similarity(image_ND, demos_NKD).tolist()
    finite: list[bool] = torch.isfinite(image_ND).all(dim=1).tolist()
    return [
        Scores(gain, fit, copy, copy_difference(low_resolution(picture), demos_KSS3))
        if fine and not shows_nothing(picture)
        else FAILED
        for picture, gain, fit, copy, fine in zip(drawn, gains, fits, copies, finite, strict=True)
    ]


def _verdict(scores: Scores, reason: Reason) -> pb.Verdict:
    return pb.Verdict(
        kept=reason is Reason.KEPT,
        reason=reason.value,
        gain=scores.gain,
        prompt_similarity=scores.prompt_similarity,
        copy_similarity=scores.copy_similarity,
        copy_difference=scores.copy_difference,
    )
