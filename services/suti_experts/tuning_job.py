"""The job of one TuneExpert: reads what was asked, leaves the result in the store."""

import hashlib
import json

import torch

from suti.api.experts.v1 import experts_pb2 as pb
from suti.api.types.v1.types_pb2 import DrawnPicture, ModelRef
from suti.core import keys
from suti.core.limits import OPERATION_INLINE_BYTES
from suti.infra.jobs.entry import JobContext
from suti.infra.store import Store
from suti.ml.diffusion.base import load_base
from suti.ml.experts.recipe import ExpertRecipe
from suti.ml.png import png_of
from suti.stages import run_spec
from suti.stages.lone_expert import LoneExpert, tune_and_draw
from suti.stages.model_cache import ModelCache
from suti.stages.sent_pictures import open_sent
from suti_experts.settings import ExpertsSettings
from suti_experts.tunings import CANCELLED, REQUEST, RESULT


def tune(job: JobContext, settings: ExpertsSettings, store: Store, operation_id: str) -> None:
    """Do it, unless it was done, or cancelled before it began."""
    place = keys.operation_part(operation_id, RESULT)
    if store.exists(place) or store.exists(keys.operation_part(operation_id, CANCELLED)):
        return
    torch.set_num_threads(settings.torch_threads)
    request = pb.TuneExpertRequest.FromString(store.get(keys.operation_part(operation_id, REQUEST)))
    record = json.loads(store.get(keys.operation(operation_id)))
    recipe, base = ExpertRecipe.model_validate(record["recipe"]), run_spec.ModelRef.model_validate(record["base"])
    pictures = [
        open_sent(one.picture, store, field=f"demonstrations[{index}].picture")
        for index, one in enumerate(request.demonstrations)
    ]
    folder = ModelCache(settings.models_path, rules=settings.model_rules()).folders.folder(base)
    expert = tune_and_draw(
        load_base(folder, device=settings.device),
        pictures,
        [one.caption for one in request.demonstrations],
        list(request.prompts),
        recipe=recipe,
        seed=request.seed,
        progress=job.progress,
        stopping=job.stopping,
    )
    for name, data in expert.files.items():
        store.put(keys.tuned(operation_id, name), data)
    store.create(place, _result(store, operation_id, expert, base).SerializeToString())


def _result(store: Store, operation_id: str, expert: LoneExpert, base: run_spec.ModelRef) -> pb.TuneExpertResult:
    pngs = [png_of(candidate.picture) for candidate in expert.candidates]
    inline = sum(map(len, pngs)) <= OPERATION_INLINE_BYTES
    last = expert.losses[-max(1, len(expert.losses) // 10) :]
    weights = next((name for name in sorted(expert.files) if name.endswith(".safetensors")), "")
    result = pb.TuneExpertResult(
        steps=len(expert.losses),
        final_loss=sum(last) / len(last),
        weights_key=keys.tuned(operation_id, weights) if weights else "",
        base=ModelRef(name=base.name, sha256=base.sha256),
    )
    for number, (candidate, png) in enumerate(zip(expert.candidates, pngs, strict=True)):
        key = "" if inline else keys.operation_part(operation_id, f"pictures/{number:04d}.png")
        if key:
            store.put(key, png)
        picture = DrawnPicture(
            png=png if inline else b"",
            store_key=key,
            seed=candidate.seed,
            width_px=candidate.picture.width,
            height_px=candidate.picture.height,
            pixels_sha256=hashlib.sha256(candidate.picture.tobytes()).hexdigest(),
        )
        result.candidates.add(prompt=candidate.prompt, sample=candidate.sample, picture=picture)
    return result
