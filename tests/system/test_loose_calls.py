"""Calls outside of any run, over real processes: tune an expert, caption, propose prompts, judge candidates."""

from collections.abc import Generator

import pytest

from suti.api.experts.v1 import experts_pb2
from suti.api.types.v1 import types_pb2 as types
from suti.client.blocking import Suti
from suti.client.endpoints import Service
from suti.client.errors import RemoteError
from suti.client.inputs import demonstration
from suti.core.ids import new_request_id
from tests.system.workers_stack import ENDS_S, Stack, running
from tests.unit.stages.shards import noise, png

pytestmark = [pytest.mark.extended, pytest.mark.timeout(1200)]

TINY = {"steps": 2, "samples_per_prompt": 1, "sampling": {"steps": 2, "guidance": 1.0}}
SHOWN = [demonstration(png(noise(seed)), "a cup") for seed in (1, 2, 3)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stack]:
    services = (Service.EXPERTS, Service.CAPTIONING, Service.FILTERING)
    with running(tmp_path_factory.mktemp("loose"), services=services) as stack:
        yield stack


@pytest.fixture
def suti(stack: Stack) -> Generator[Suti]:
    with stack.client() as suti:
        yield suti


def test_methods_are_listed_with_the_recipes_that_they_begin_with(suti: Suti) -> None:
    methods = {method.name: method for method in suti.list_methods().methods}

    assert set(methods) == {"dreambooth", "lora"}
    assert all(method.description for method in methods.values())
    assert methods["lora"].recipe["method"] == "lora"
    assert methods["dreambooth"].recipe["steps"] == 60  # the toy preset


def test_a_repeated_tuning_is_the_same_operation_and_another_body_is_refused(suti: Suti) -> None:
    request_id = new_request_id()

    first = suti.tune_expert(SHOWN, ["a cup at sea"], changes=TINY, request_id=request_id)
    again = suti.tune_expert(SHOWN, ["a cup at sea"], changes=TINY, request_id=request_id)
    with pytest.raises(RemoteError) as reused:
        suti.tune_expert(SHOWN, ["a cup in snow"], changes=TINY, request_id=request_id)

    assert first.name == again.name
    assert first.wait(timeout_s=ENDS_S) == again.wait(timeout_s=ENDS_S)
    assert reused.value.reason == "REQUEST_ID_REUSED"


def test_a_cancelled_tuning_says_so(suti: Suti) -> None:
    pending = suti.tune_expert(SHOWN, ["a cup at sea"], changes={**TINY, "steps": 100_000})

    pending.cancel()

    with pytest.raises(RemoteError, match="cancelled"):
        pending.wait(timeout_s=60)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"demonstrations": []}, "INVALID_ARGUMENT"),
        ({"demonstrations": SHOWN * 4}, "INVALID_ARGUMENT"),
        ({"prompts": []}, "INVALID_ARGUMENT"),
        ({"prompts": [""]}, "INVALID_ARGUMENT"),
        ({"method": "magic"}, "BAD_OVERRIDE"),
        ({"changes": {"stepz": 3}}, "BAD_OVERRIDE"),
        ({"base": "nobody"}, "UNKNOWN_MODEL"),
        ({"request_id": "mine"}, "INVALID_ARGUMENT"),
    ],
)
def test_a_tuning_that_cannot_be_is_refused(suti: Suti, changes: dict[str, object], reason: str) -> None:
    asked: dict[str, object] = {"demonstrations": SHOWN, "prompts": ["a cup at sea"], **changes}

    with pytest.raises(RemoteError) as refused:
        suti.tune_expert(**asked)  # pyright: ignore[reportArgumentType] - wrong on purpose

    assert refused.value.reason == reason


def test_an_operation_that_nobody_started_is_missing(suti: Suti) -> None:
    with pytest.raises(RemoteError) as missing:
        suti.pending(Service.EXPERTS, "operations/01ARZ3NDEKTSV4RRFFQ69G5FAV", experts_pb2.TuneExpertResult)

    assert missing.value.reason == "NO_OPERATION"


def test_captions_come_in_order_and_one_bad_picture_harms_only_itself(suti: Suti) -> None:
    answer = suti.caption_pictures([(png(noise(1)), "a red cup"), (b"none", "x"), (png(noise(2)), "")])

    assert [caption.error_reason for caption in answer.captions] == ["", "PICTURE_NOT_A_PICTURE", ""]
    assert answer.captions[0].caption
    assert answer.captions[2].text
    assert answer.captioner.startswith("tags")
    assert answer.rewriter == "grammar"


def test_prompts_are_of_the_skills_asked_for_and_the_same_for_the_same_seed(suti: Suti) -> None:
    texts = ["a red cup on a table"]

    styles = suti.propose_prompts(texts, count=3, seed=5, wanted=["style"])
    again = suti.propose_prompts(texts, count=3, seed=5, wanted=["style"])
    others = suti.propose_prompts(texts, count=8, seed=5)

    assert {prompt.skill for prompt in styles.prompts} == {types.SKILL_STYLE}
    assert styles == again
    assert len({prompt.skill for prompt in others.prompts}) == 4
    assert not {prompt.text for prompt in others.prompts} & set(texts)


def test_captions_and_prompts_out_of_range_are_refused(suti: Suti) -> None:
    for ask in (
        lambda: suti.caption_pictures([]),
        lambda: suti.caption_pictures([(png(noise(1)), "")] * 33),
        lambda: suti.caption_pictures([(png(noise(1)), "x" * 10_001)]),
        lambda: suti.propose_prompts([]),
        lambda: suti.propose_prompts(["x" * 1_001]),
        lambda: suti.propose_prompts(["a cup"], count=65),
    ):
        with pytest.raises(RemoteError) as refused:
            ask()
        assert refused.value.reason == "INVALID_ARGUMENT"


def test_verdicts_follow_the_policy_that_is_asked_for(suti: Suti) -> None:
    candidates = [(png(noise(1)), "a cup"), (png(noise(9)), "a cup at sea")]
    wide = {"min_gain": -2.0, "max_copy_similarity": 1.0, "min_copy_difference": 0.0}

    strict = suti.score_candidates(SHOWN, candidates)
    gentle = suti.score_candidates(SHOWN, candidates, changes=wide)

    assert strict.verdicts[0].reason == "COPY_OF_DEMONSTRATION"
    assert [verdict.kept for verdict in gentle.verdicts] == [True, True]
    assert [one.gain for one in strict.verdicts] == [one.gain for one in gentle.verdicts]
    assert strict.policy_digest != gentle.policy_digest
    assert strict.clip == gentle.clip
    assert len(strict.clip.sha256) == 64


@pytest.mark.parametrize(
    ("demonstrations", "candidates", "clip", "reason"),
    [
        ([], [(png(noise(1)), "a cup")], "", "INVALID_ARGUMENT"),
        (SHOWN, [], "", "INVALID_ARGUMENT"),
        (SHOWN, [(png(noise(1)), "")], "", "INVALID_ARGUMENT"),
        (SHOWN, [(b"none", "a cup")], "", "PICTURE_NOT_A_PICTURE"),
        (SHOWN, [(png(noise(1)), "a cup")], "nobody", "UNKNOWN_MODEL"),
    ],
)
def test_candidates_that_cannot_be_judged_are_refused(
    suti: Suti,
    demonstrations: list[types.Demonstration],
    candidates: list[tuple[bytes, str]],
    clip: str,
    reason: str,
) -> None:
    with pytest.raises(RemoteError) as refused:
        suti.score_candidates(demonstrations, candidates, clip=clip)

    assert refused.value.reason == reason
