"""The same subjects, prompts and seeds drawn by one model after the other, through the generation service."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from suti.client import Suti
from suti.client.inputs import demonstration
from suti.client.requests.generation import generate_request
from suti.local.demo.judge import Judged, SubjectJudge
from suti.local.demo.plan import DemoPlan
from suti.local.demo.unseen import Unseen, Wanted
from suti.ml.clip.encoder import ClipEncoder


@dataclass(frozen=True)
class Drawn:
    """What one model drew for one prompt of one subject, and what it is worth."""

    unseen: Unseen
    wanted: Wanted
    model: str
    pngs: Sequence[bytes]
    judged: Sequence[Judged]


class Contestants:
    """Unseen subjects, registered once, drawn by any model and judged."""

    def __init__(self, client: Suti, plan: DemoPlan, unseen: Sequence[Unseen], *, clip: ClipEncoder) -> None:
        self._client = client
        self._plan = plan
        self._unseen = unseen
        self._ids: dict[int, str] = {}
        self._judges = {
            one.number: SubjectJudge(
                one.subject, one.others, [shown.png for shown in one.demonstrations], clip=clip, group=one.name
            )
            for one in unseen
        }

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

    def draw(self, model: str, *, sees_subject: bool, on_done: Callable[[], None] = lambda: None) -> list[Drawn]:
        """Every prompt of every subject, drawn and judged; in the order of subjects and prompts. Raises RemoteError."""
        with ThreadPoolExecutor(self._plan.callers) as pool:
            waiting = {
                pool.submit(self._draw_one, one, wanted, model, sees_subject): place
                for place, (one, wanted) in enumerate((one, wanted) for one in self._unseen for wanted in one.wanted)
            }
            drawn: dict[int, Drawn] = {}
            for future in as_completed(waiting):
                drawn[waiting[future]] = future.result()
                on_done()
        return [drawn[place] for place in sorted(drawn)]

    def judge_of(self, unseen: Unseen) -> SubjectJudge:
        """Who judges pictures of a subject."""
        return self._judges[unseen.number]

    def _draw_one(self, unseen: Unseen, wanted: Wanted, model: str, sees_subject: bool) -> Drawn:
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
        pngs = [picture.png for picture in answer.pictures]
        judged = self._judges[unseen.number].judge(pngs, prompt=wanted.text, view=wanted.view)
        return Drawn(unseen, wanted, model, pngs, judged)
