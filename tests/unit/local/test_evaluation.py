import pytest
import torch

from suti.local.demo.plan import ToyPlan
from suti.local.evaluation import Verdict, put_to_the_test
from suti.local.folder import packaged_models
from suti.ml.clip.encoder import ClipEncoder, load_clip
from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.subject.files import SubjectModel, load_subject_model

SAMPLING = SamplingRecipe(sampler="dpmsolver++", steps=2, guidance=1.0)
PLAN = ToyPlan(subjects=2, demonstrations=2, pictures_each=1, seed=3)


@pytest.fixture(scope="module")
def clip() -> ClipEncoder:
    torch.set_num_threads(1)
    return load_clip(str(packaged_models() / "clip"))


@pytest.fixture(scope="module")
def warmstart() -> SubjectModel:
    return load_subject_model(packaged_models() / "warmstart")


def judged(model: SubjectModel, clip: ClipEncoder, *, sees_subjects: bool) -> Verdict:
    return put_to_the_test(model, PLAN, sees_subjects=sees_subjects, sampling=SAMPLING, clip=clip)


def test_every_picture_is_judged_and_truth_bounds_the_scores(warmstart: SubjectModel, clip: ClipEncoder) -> None:
    told: list[tuple[int, int]] = []

    found = put_to_the_test(
        warmstart,
        PLAN,
        sees_subjects=True,
        sampling=SAMPLING,
        clip=clip,
        progress=lambda done, total, what: told.append((done, total)),
    )

    scores = found.scores
    assert scores.identified_16way.n == scores.clip_t.n == scores.clip_i.n == PLAN.pictures == 2
    assert found.bounds.ceiling.mean == 1.0  # true renders
    assert found.bounds.floor.mean < 1.0
    assert scores.overall.mean <= min(scores.identified_16way.mean, scores.follows_prompt.mean)
    for score in (scores.clip_t, scores.clip_i, scores.identified_16way, scores.follows_prompt, scores.overall):
        assert -1.0 <= score.low <= score.mean <= score.high <= 1.0
    assert told == [(0, 2), (1, 2), (2, 2)]


def test_the_same_plan_gives_the_same_scores_and_demonstrations_change_them(
    warmstart: SubjectModel, clip: ClipEncoder
) -> None:
    one, again = (judged(warmstart, clip, sees_subjects=True) for _ in range(2))
    blind = judged(warmstart, clip, sees_subjects=False)

    assert one == again
    assert blind.scores.clip_i != one.scores.clip_i
    assert blind.bounds == one.bounds


def test_a_plan_counts_as_many_pictures_as_the_demo_promises() -> None:
    assert ToyPlan().pictures >= 200
