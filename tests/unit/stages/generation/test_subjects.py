"""Subjects on a real store, and orders that are refused before anything is loaded."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from suti.core import keys
from suti.core.errors import InvalidArgument
from suti.infra.store import Store
from suti.ml.diffusion.recipe import SamplingRecipe
from suti.stages.generation.order import DrawOrder, SizeNotSupported
from suti.stages.generation.subjects import (
    Demonstration,
    DemonstrationCount,
    SubjectMissing,
    SubjectRepository,
    digest_of,
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(f"file://{tmp_path}")


def shown(*names: str) -> list[Demonstration]:
    return [Demonstration(name.encode(), f"a {name}", hashlib.sha256(name.encode()).hexdigest()) for name in names]


def test_a_subject_comes_back_as_it_was_registered(store: Store) -> None:
    repository = SubjectRepository(store)

    subject = repository.register(shown("mug", "cup"), display_name="mine", created_by="me")

    assert repository.get(subject.subject_id) == subject
    assert list(repository.demonstrations(subject)) == shown("mug", "cup")


def test_a_subject_of_a_later_version_that_says_more_is_read(store: Store) -> None:
    subject = SubjectRepository(store).register(shown("mug"), display_name="mine", created_by="me")
    key = keys.subject(subject.subject_id, "subject.json")
    store.put(key, json.dumps(json.loads(store.get(key)) | {"mood": "good"}).encode())

    assert SubjectRepository(store).get(subject.subject_id) == subject


def test_a_digest_is_over_pictures_and_captions_in_order_each_with_its_length() -> None:
    one, other = shown("mug", "cup")
    by_hand = hashlib.sha256()
    for demonstration in (one, other):
        by_hand.update(bytes.fromhex(demonstration.pixels_sha256))
        by_hand.update(len(demonstration.caption).to_bytes(8, "big") + demonstration.caption.encode())

    assert digest_of([one, other]) == by_hand.hexdigest()
    assert digest_of([other, one]) != digest_of([one, other])
    assert digest_of([replace(one, caption="a mu"), other]) != digest_of([one, other])


def test_subjects_are_listed_newest_first_and_paged_by_their_ids(store: Store) -> None:
    repository = SubjectRepository(store)
    ids = [repository.register(shown(str(n)), display_name="", created_by="").subject_id for n in range(4)]
    ordered = sorted(ids, reverse=True)

    assert [one.subject_id for one in repository.list()] == ordered
    assert [one.subject_id for one in repository.list(after=ordered[1])] == ordered[2:]


def test_a_deleted_subject_leaves_nothing_behind(store: Store) -> None:
    repository = SubjectRepository(store)
    subject = repository.register(shown("mug"), display_name="", created_by="")
    store.put(keys.subject(subject.subject_id, "contexts/abc.safetensors"), b"computed")

    repository.delete(subject.subject_id)

    assert list(store.list("")) == []
    for call in (repository.get, repository.delete):
        with pytest.raises(SubjectMissing):
            call(subject.subject_id)
    with pytest.raises(SubjectMissing):
        repository.demonstrations(subject)


@pytest.mark.parametrize("subject_id", ["", "../..", "a/b", "nobody"])
def test_ids_that_nobody_has_are_missing_however_odd(store: Store, subject_id: str) -> None:
    with pytest.raises(SubjectMissing):
        SubjectRepository(store).get(subject_id)


@pytest.mark.parametrize("count", [0, 11, 50])
def test_too_few_or_too_many_pictures_are_refused(store: Store, count: int) -> None:
    with pytest.raises(DemonstrationCount):
        SubjectRepository(store).register(shown(*"x" * count), display_name="", created_by="")
    assert list(store.list("")) == []


@pytest.mark.parametrize(
    ("order", "field"),
    [
        (DrawOrder(prompt=" "), "prompt"),
        (DrawOrder(prompt="x" * 1001), "prompt"),
        (DrawOrder(prompt="a", avoid="x" * 1001), "negative_prompt"),
        (DrawOrder(prompt="a", count=0), "count"),
        (DrawOrder(prompt="a", count=17), "count"),
        (DrawOrder(prompt="a", steps=-1), "steps"),
        (DrawOrder(prompt="a", steps=1001), "steps"),
        (DrawOrder(prompt="a", seed=2**63), "seed"),
        (DrawOrder(prompt="a", guidance=float("nan")), "guidance"),
        (DrawOrder(prompt="a", guidance=100.5), "guidance"),
        (DrawOrder(prompt="a", subject_guidance=-0.1), "subject_guidance"),
    ],
)
def test_an_order_outside_its_limits_is_refused_by_field(order: DrawOrder, field: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        order.check()

    assert error.value.field == field


def test_an_order_at_its_limits_is_taken() -> None:
    DrawOrder(prompt="x" * 1000, avoid="x" * 1000, count=16, steps=1000, seed=2**63 - 1, guidance=100).check()


def test_only_the_models_own_size_is_taken() -> None:
    DrawOrder(prompt="a", width_px=32, height_px=32).check_size(32, "toy")
    DrawOrder(prompt="a").check_size(32, "toy")
    with pytest.raises(SizeNotSupported):
        DrawOrder(prompt="a", width_px=64, height_px=32).check_size(32, "toy")


def test_an_order_changes_only_what_it_names_of_the_models_own_way() -> None:
    own = SamplingRecipe(sampler="ddim", steps=25, guidance=3.0)

    assert DrawOrder(prompt="a").recipe(own) == own
    changed = DrawOrder(prompt="a", steps=7, guidance=0.0, subject_guidance=2.0, sampler="unipc").recipe(own)
    assert changed == SamplingRecipe(sampler="unipc", steps=7, guidance=0.0, subject_guidance=2.0)
