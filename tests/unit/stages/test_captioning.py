import json
from pathlib import Path

import pytest
from PIL import Image

from suti.core.ids import prompt_id
from suti.core.records import CaptionRow, DropRow, PromptRow, Skill, Stage
from suti.infra.ledger import NotCommitted
from suti.infra.tables import from_parquet
from suti.infra.tombstones import Tombstone, add_tombstone
from suti.ml.captions.alt_text import same
from suti.ml.captions.endpoints import NamedEndpoint
from suti.ml.captions.recipe import CaptioningRecipe
from suti.ml.chat_endpoint import EndpointUnavailable
from suti.stages.captioning import run_shard
from tests.unit.ml.captions.endpoint_server import ChatServer, Reply, Request, serving
from tests.unit.stages.shards import Run, open_run, select

ZORVO = ["Zorvo &amp; friends", "zorvo on sale", "IMG_1.jpg"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = open_run(tmp_path)
    select(run, [ZORVO, ["", "", "", ""]])
    return run


def _captions(run: Run) -> list[CaptionRow]:
    commit = run.ledger.get(Stage.CAPTIONING, 0)
    return from_parquet(run.ledger.read(commit.part("captions.parquet")), CaptionRow)


def _prompts(run: Run) -> list[PromptRow]:
    commit = run.ledger.get(Stage.CAPTIONING, 0)
    return from_parquet(run.ledger.read(commit.part("prompts.parquet")), PromptRow)


def _drops(run: Run) -> list[tuple[str, str]]:
    commit = run.ledger.get(Stage.CAPTIONING, 0)
    return [(row.kind, row.reason) for row in from_parquet(run.ledger.read(commit.part("drops.parquet")), DropRow)]


def test_every_picture_and_every_cluster_gets_its_texts(run: Run) -> None:
    commit = run_shard(run.ledger, run.spec, run.models, 0)

    assert commit.counts == {"items_in": 2, "items_out": 2, "dropped": 0, "pictures_out": 7, "prompts_out": 4}
    captions, prompts = _captions(run), _prompts(run)
    assert {row.cluster_id for row in captions} == {row.cluster_id for row in prompts} == set(run.clusters)
    named = [row for row in captions if row.cluster_id == run.clusters[0]]
    assert all("orvo" in row.text for row in named)
    assert not any("orvo" in row.caption for row in named)
    assert {row.alt_text for row in named} == set(ZORVO)
    assert all(row.prompt_id == prompt_id(row.cluster_id, row.text) for row in prompts)
    assert all(row.skill in set(Skill) for row in prompts)


def test_prompts_are_new_and_differ(run: Run) -> None:
    run_shard(run.ledger, run.spec, run.models, 0)

    for cluster in run.clusters:
        texts = [same(row.text) for row in _prompts(run) if row.cluster_id == cluster]
        own = {same(text) for row in _captions(run) if row.cluster_id == cluster for text in (row.text, row.caption)}
        assert len(set(texts)) == len(texts) == 2
        assert not set(texts) & own


def test_two_workers_write_the_same_bytes(tmp_path: Path) -> None:
    parts: list[dict[str, str]] = []
    for name in ("one", "two"):
        run = open_run(tmp_path / name)
        select(run, [ZORVO, ["", "", ""]])
        commit = run_shard(run.ledger, run.spec, run.models, 0, fence=name)
        parts.append({part.name: part.sha256 for part in commit.parts})

    assert parts[0] == parts[1]


def test_stored_embeddings_spare_a_second_encode(run: Run) -> None:
    before = run.models.clip.pictures_encoded

    run_shard(run.ledger, run.spec, run.models, 0)

    assert run.models.clip.pictures_encoded == before


def test_progress_is_told_cluster_by_cluster(run: Run) -> None:
    told: list[tuple[int, int]] = []

    run_shard(run.ledger, run.spec, run.models, 0, progress=lambda done, total, _: told.append((done, total)))

    assert told == [(0, 2), (1, 2), (2, 2)]


def test_a_shard_that_is_not_selected_yet_is_waited_for(tmp_path: Path) -> None:
    run = open_run(tmp_path)

    with pytest.raises(NotCommitted):
        run_shard(run.ledger, run.spec, run.models, 0)


def test_an_empty_shard_commits_nothing_but_its_counts(tmp_path: Path) -> None:
    run = open_run(tmp_path)
    select(run, [])

    assert run_shard(run.ledger, run.spec, run.models, 0).counts["items_in"] == 0


def test_a_tombstone_takes_its_page_out_and_is_recorded(run: Run) -> None:
    add_tombstone(run.ledger.store, Tombstone.of(urls=["https://shop.example/0"]))

    commit = run_shard(run.ledger, run.spec, run.models, 0)

    assert (commit.counts["items_out"], commit.counts["dropped"]) == (1, 1)
    assert {row.cluster_id for row in _captions(run)} == {run.clusters[1]}
    assert sorted(_drops(run)) == [("cluster", "TOO_FEW_ALLOWED"), *[("picture", "TOMBSTONED")] * 3]


class _NoMetal:
    """A screen that refuses prompts of gold and silver, and one picture."""

    def __init__(self) -> None:
        self.seen = 0

    def refuse_picture(self, picture: Image.Image) -> str | None:
        assert picture.mode == "RGB"
        self.seen += 1
        return "SCREENED" if self.seen == 1 else None

    def refuse_prompt(self, text: str) -> str | None:
        return "SCREENED"


def test_a_screen_sees_every_picture_and_prompt_and_what_it_refuses_is_recorded(run: Run) -> None:
    screen = _NoMetal()

    commit = run_shard(run.ledger, run.spec, run.models, 0, screen=screen)

    assert screen.seen == 7
    assert commit.counts["items_out"] == 0
    assert ("prompt", "SCREENED") in _drops(run)
    assert _drops(run).count(("picture", "SCREENED")) == 1
    assert {reason for kind, reason in _drops(run) if kind == "cluster"} <= {"NO_PROMPT", "TOO_FEW_ALLOWED"}


def test_a_text_of_two_megabytes_is_harmless(tmp_path: Path) -> None:
    run = open_run(tmp_path)
    select(run, [["&amp;zorvo " * 200_000, "\x00\u202e" * 10_000, "zorvo"]])

    run_shard(run.ledger, run.spec, run.models, 0)

    assert all(len(row.alt_text) <= run.spec.grouping.max_alt_chars and len(row.text) < 500 for row in _captions(run))


def _answer(request: Request) -> str:
    asked = request["messages"][0]["content"]
    if '"caption"' in asked:
        return json.dumps({"caption": "a fish"})
    if '"texts"' in asked:
        items = json.loads(request["messages"][1]["content"])
        if any("poison" in item["alt_text"] for item in items):
            return "no"
        return json.dumps({"texts": [f"fish {number}" for number in range(len(items))]})
    return json.dumps({"prompts": [{"skill": "style", "text": "a pop art fish"}]})


ASKING = CaptioningRecipe(
    captioner="openai", rewriter="openai", captioner_model="m", rewriter_model="m", endpoint="ours", attempts=2
)


def _asking(folder: Path, url: str) -> Run:
    return open_run(folder, captioning=ASKING, endpoints={"ours": NamedEndpoint(url=url)})


def test_an_answer_that_makes_no_sense_drops_its_cluster_alone(tmp_path: Path) -> None:
    with serving(ChatServer(_answer)) as server:
        run = _asking(tmp_path, server.url)
        select(run, [["poison", "", ""], ["", "", ""]])
        commit = run_shard(run.ledger, run.spec, run.models, 0)

    assert (commit.counts["items_out"], commit.counts["dropped"]) == (1, 1)
    assert _drops(run) == [("cluster", "ANSWER_UNUSABLE")]
    assert [row.text for row in _prompts(run)] == ["a pop art fish"]


def test_an_endpoint_that_is_down_leaves_the_shard_for_later(tmp_path: Path) -> None:
    with serving(ChatServer(_answer, first=[Reply(status=500)] * 100)) as server:
        run = _asking(tmp_path, server.url)
        select(run, [["", "", ""]])
        with pytest.raises(EndpointUnavailable):
            run_shard(run.ledger, run.spec, run.models, 0)

    assert not run.ledger.is_committed(Stage.CAPTIONING, 0)
