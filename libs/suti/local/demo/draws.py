"""The same subjects, prompts and seeds drawn by one model after the other, through the generation service."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from suti.client import Suti
from suti.client.inputs import demonstration
from suti.client.requests.generation import generate_request
from suti.local.demo.plan import DemoPlan
from suti.local.demo.unseen import Unseen, Wanted


@dataclass(frozen=True)
class Drawn:
    """What one model drew for one prompt of one subject."""

    place: int  # among all prompts of all subjects, 0-based
    unseen: Unseen
    wanted: Wanted
    pngs: Sequence[bytes]


class Contestants:
    """Unseen subjects, registered once, then drawn by any model."""

    def __init__(self, client: Suti, plan: DemoPlan, unseen: Sequence[Unseen]) -> None:
        self._client = client
        self._plan = plan
        self._unseen = unseen
        self._ids: dict[int, str] = {}

    @property
    def rounds(self) -> int:
        """Requests that one model is sent."""
        return sum(len(one.wanted) for one in self._unseen)

    def register(self) -> None:
        """Hand the demonstrations to the generation service. Raises RemoteError."""
        for one in self._unseen:
            shown = [demonstration(demo.png, demo.text) for demo in one.demonstrations]
            answer = self._client.register_subject(shown, display_name=one.name, created_by="suti demo")
            self._ids[one.number] = answer.subject_id

    def draw(
        self, model: str, *, sees_subject: bool, on_drawn: Callable[[Drawn], None] = lambda drawn: None
    ) -> list[Drawn]:
        """Every prompt of every subject, by place; `on_drawn` is told of each as it comes. Raises RemoteError."""
        pairs = [(one, wanted) for one in self._unseen for wanted in one.wanted]
        with ThreadPoolExecutor(self._plan.callers) as pool:
            waiting = {
                pool.submit(self._ask, one, wanted, model, sees_subject=sees_subject): (place, one, wanted)
                for place, (one, wanted) in enumerate(pairs)
            }
            found: list[Drawn] = []
            for future in as_completed(waiting):
                found.append(Drawn(*waiting[future], future.result()))
                on_drawn(found[-1])
        return sorted(found, key=lambda drawn: drawn.place)

    def _ask(self, unseen: Unseen, wanted: Wanted, model: str, *, sees_subject: bool) -> Sequence[bytes]:
        answer = self._client.generate(
            generate_request(
                wanted.text,
                subject_id=self._ids[unseen.number] if sees_subject else "",
                model=model,
                count=self._plan.pictures_each,
                seed=wanted.seed,
                steps=self._plan.steps,
                guidance=self._plan.guidance,
                sampler_name=self._plan.sampler,
                created_by="suti demo",
            )
        )
        return [picture.png for picture in answer.pictures]
