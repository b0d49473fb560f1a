"""A server as a system under test: subjects are registered with it, pictures asked of it."""

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

from PIL import Image

from suti.api.generation.v1 import generation_pb2 as pb
from suti.api.types.v1.types_pb2 import ModelKind
from suti.client.blocking import Suti
from suti.client.inputs import SamplerName, demonstration
from suti.client.requests.generation import generate_request
from suti.core.errors import InvalidArgument
from suti.stages.evaluation.drawers import Demonstrations
from suti.stages.evaluation.drawings import Outcome, as_they_come
from suti.stages.evaluation.plan import check_model
from suti.stages.evaluation.subjects import EvaluationSubject

_AT_ONCE = 4  # requests; the server draws those of one form side by side


class NotServed(InvalidArgument):
    """A server offers no model of a name."""

    reason: ClassVar[str] = "MODEL_NOT_SERVED"


class ServerDrawer:
    """Draws through the generation service, each subject registered once and deleted in the end."""

    def __init__(
        self,
        suti: Suti,
        *,
        model: str,
        sha256: str,
        steps: int,
        guidance: float | None,
        sampler: SamplerName,
        demonstrations: Demonstrations | None,
    ) -> None:
        self._suti, self._model, self._sha256 = suti, model, sha256
        self._steps, self._guidance = steps, guidance
        self._sampler: SamplerName = sampler
        self._demonstrations = demonstrations
        self._registered: dict[str, str] = {}

    def draw(self, subject: EvaluationSubject, prompt: str, seeds: Sequence[int]) -> Iterator[Outcome]:
        """One outcome for each seed, as they come.

        Raises:
            EvaluationChanged: the server has another model by that name now.
            RemoteTrouble: it cannot draw just now.
        """
        subject_id = self._subject_id(subject)

        def ask(seed: int) -> Image.Image:
            answer: pb.GenerateResponse = self._suti.generate(
                generate_request(
                    prompt,
                    subject_id=subject_id,
                    model=self._model,
                    seed=seed,
                    steps=self._steps,
                    guidance=self._guidance,
                    sampler_name=self._sampler,
                )
            )
            check_model(self._model, self._sha256, answer.model.sha256)
            (picture,) = answer.pictures
            png = picture.png or self._suti.read_picture(picture.store_key).png
            return Image.open(io.BytesIO(png), formats=["PNG"]).convert("RGB")

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="draw") as pool:
            yield from as_they_come({pool.submit(ask, seed): seed for seed in seeds})

    def forget_subjects(self) -> None:
        """What was registered for the evaluation is deleted."""
        while self._registered:
            self._suti.delete_subject(self._registered.popitem()[1])

    def _subject_id(self, subject: EvaluationSubject) -> str:
        if self._demonstrations is None:
            return ""
        if subject.name not in self._registered:
            shown = [demonstration(path, text) for path, text in self._demonstrations(subject)]
            self._registered[subject.name] = self._suti.register_subject(
                shown, display_name=f"evaluation: {subject.name}"
            ).subject_id
        return self._registered[subject.name]


@dataclass(frozen=True)
class ServedModel:
    """What a server says of one of its models."""

    name: str
    sha256: str
    sees_subjects: bool


def served_model(suti: Suti, name: str) -> ServedModel:
    """The model of that name, or the promoted one. Raises NotServed, RemoteError."""
    for model in suti.list_models():
        if model.promoted if not name else model.name == name:
            sees = model.kind in {ModelKind.MODEL_KIND_WARMSTART, ModelKind.MODEL_KIND_APPRENTICE}
            return ServedModel(model.name, model.sha256, sees)
    raise NotServed("MODEL", f"the server has no model {name!r}: see `suti models list --server`")
