"""From clusters to finished experts, one by one or many in one batch; what went wrong with one is its own outcome."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from suti.core.errors import SutiError
from suti.core.records import PromptRow, Stage
from suti.core.seeds import derive_seed
from suti.ml.diffusion.base import Base
from suti.ml.diffusion.pixels import picture_to_tensor
from suti.ml.experts.drawing import Order, draw_candidates
from suti.ml.experts.drawing_together import draw_together
from suti.ml.experts.lora import adapter_files, lora_config
from suti.ml.experts.together import Lesson, TunedAdapter, tune_together
from suti.ml.experts.tuning import ExpertDiverged, tune_expert
from suti.ml.experts.weights import expert_files
from suti.stages.expert_clusters import Cluster
from suti.stages.expert_marks import Candidate, FinishedExpert, candidate_from
from suti.stages.run_spec import RunSpec
from suti.stages.shard_pictures import PictureChanged, ShardPictures

# Called after each step with what is done, steps done and steps in all; what it raises ends the work.
Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class _Wanted:
    """One candidate to be drawn."""

    prompt: PromptRow
    sample: int
    seed: int

    @property
    def order(self) -> Order:
        return Order(self.prompt.text, self.seed)


class ExpertTuning:
    """Tunes and draws by a run's recipe; the same cluster gives the same expert, whoever asks."""

    def __init__(self, spec: RunSpec, base: Base, pictures: ShardPictures, *, report: Report) -> None:
        self._spec = spec
        self._base = base
        self._pictures = pictures
        self._report = report

    def alone(self, cluster: Cluster) -> FinishedExpert:
        """One expert."""
        recipe, dtype = self._spec.experts, self._spec.environment.dtype
        wanted = self._wanted(cluster)
        try:
            expert = tune_expert(
                self._base,
                self._open(cluster),
                cluster.texts,
                recipe=recipe,
                seed=self._seed(cluster.cluster_id, "tuning"),
                dtype=dtype,
                callback=lambda step, steps, _loss: self._report("tuning", step, steps),
            )
            drawn = draw_candidates(
                expert,
                [one.order for one in wanted],
                recipe=recipe.sampling,
                dtype=dtype,
                callback=lambda step, steps, _picture: self._report("drawing", step + 1, steps),
            )
            candidates = _candidates(drawn, wanted)
        except (ExpertDiverged, PictureChanged) as error:
            return _failed(cluster, error)
        files = expert_files(expert, recipe)
        return FinishedExpert(cluster.picture_ids, candidates=candidates, losses=expert.losses, files=files)

    def together(self, clusters: Sequence[Cluster]) -> list[FinishedExpert]:
        """An expert for each cluster, in one batch."""
        company = tuple(cluster.cluster_id for cluster in clusters)
        finished: dict[str, FinishedExpert] = {}
        lessons: list[tuple[Cluster, Lesson]] = []
        for cluster in clusters:
            try:
                pictures_PCHW = self._open(cluster)
            except PictureChanged as error:
                finished[cluster.cluster_id] = _failed(cluster, error, company)
            else:
                seed = self._seed(cluster.cluster_id, "tuning")
                lessons.append((cluster, Lesson(pictures_PCHW, cluster.texts, seed)))
        tuned = tune_together(
            self._base,
            [lesson for _, lesson in lessons],
            recipe=self._spec.experts,
            dtype=self._spec.environment.dtype,
            callback=lambda step, steps, _experts: self._report("tuning", step, steps),
        )
        whole: list[tuple[Cluster, TunedAdapter]] = []
        for (cluster, _), outcome in zip(lessons, tuned, strict=True):
            if isinstance(outcome, ExpertDiverged):
                finished[cluster.cluster_id] = _failed(cluster, outcome, company)
            else:
                whole.append((cluster, outcome))
        finished |= self._draw(whole, company)
        return [finished[name] for name in company]

    def _draw(
        self, experts: Sequence[tuple[Cluster, TunedAdapter]], company: tuple[str, ...]
    ) -> dict[str, FinishedExpert]:
        recipe = self._spec.experts
        wanted = [self._wanted(cluster) for cluster, _ in experts]
        drawn = draw_together(
            self._base,
            [tuned.factors for _, tuned in experts],
            [[one.order for one in some] for some in wanted],
            recipe=recipe,
            dtype=self._spec.environment.dtype,
            callback=lambda step, steps, _picture: self._report("drawing", step + 1, steps),
        )
        config = lora_config(self._base.unet, rank=recipe.lora_rank, targets=recipe.lora_targets)
        finished: dict[str, FinishedExpert] = {}
        for (cluster, tuned), some, pictures in zip(experts, wanted, drawn, strict=True):
            if isinstance(pictures, ExpertDiverged):
                finished[cluster.cluster_id] = _failed(cluster, pictures, company)
                continue
            finished[cluster.cluster_id] = FinishedExpert(
                cluster.picture_ids,
                tuned_with=company,
                candidates=_candidates(pictures, some),
                losses=tuned.losses,
                files={} if recipe.keep_experts == "none" else adapter_files(tuned.factors, config),
            )
        return finished

    def _open(self, cluster: Cluster) -> Tensor:
        """Raises PictureChanged."""
        pictures = [picture_to_tensor(self._pictures.open(row), self._base.size_px) for row in cluster.pictures]
        return torch.stack(pictures).to(self._base.device)

    def _wanted(self, cluster: Cluster) -> list[_Wanted]:
        return [
            _Wanted(prompt, sample, self._seed(cluster.cluster_id, prompt.prompt_id, sample))
            for prompt in cluster.prompts
            for sample in range(self._spec.experts.samples_per_prompt)
        ]

    def _seed(self, *purpose: str | int) -> int:
        return derive_seed(self._spec.seed, Stage.EXPERTS, *purpose)


def _candidates(pictures: Iterable[Tensor], wanted: Sequence[_Wanted]) -> tuple[Candidate, ...]:
    return tuple(
        candidate_from(picture_CHW, prompt_id=one.prompt.prompt_id, sample=one.sample, seed=one.seed)
        for picture_CHW, one in zip(pictures, wanted, strict=True)
    )


def _failed(cluster: Cluster, error: SutiError, company: tuple[str, ...] = ()) -> FinishedExpert:
    return FinishedExpert(
        cluster.picture_ids,
        tuned_with=company,
        candidates=(),
        losses=(),
        drop_reason=error.reason,
        drop_detail=str(error),
    )
