"""The `suti` command as people use it: real commands against one real `suti up` with the small models that come along.

Each test stands alone but for the services and the one run, which all of them share.
"""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from ulid import ULID

from suti.infra.bus.tickets import ShardTicket
from suti.infra.dead_letters import DeadLetter, DeadLetters
from suti.infra.ledger import Ledger
from suti.infra.store import Store
from suti.local.folder import DataFolder, packaged_models

pytestmark = [pytest.mark.extended, pytest.mark.timeout(1800)]

PATIENCE = float(os.environ.get("SUTI_TEST_PATIENCE", "1"))
LIMIT_S = 600.0 * PATIENCE  # a busy machine takes minutes to import torch in each process
UNKNOWN = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
MINIATURE = {
    "grouping.store_side_px": 32,
    "selection.similarity_low": -1,
    "selection.similarity_high": 1,
    "captioning.prompts_per_cluster": 1,
    "experts.steps": 2,
    "experts.samples_per_prompt": 1,
    "experts.sampling.steps": 3,
    "filtering.min_gain": -2,
    "apprentice.steps": 2,
    "apprentice.warmup_steps": 1,
    "apprentice.checkpoint_steps": 1,
    "generation.steps": 3,
}


@dataclass(frozen=True)
class Said:
    """How a command ended and what it said."""

    code: int
    out: str
    error: str

    def json(self) -> Any:
        return json.loads(self.out)


def suti(*arguments: str, data: Path) -> Said:
    """`suti ARGUMENTS...` in a process of its own, with nothing but pipes around it."""
    environment = {**os.environ, "SUTI_DATA": str(data)}
    command = [sys.executable, "-m", "suti.cli.main", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, env=environment, check=False)
    assert "Traceback" not in ended.stderr, ended.stderr
    return Said(ended.returncode, ended.stdout, ended.stderr)


@dataclass(frozen=True)
class Stack:
    """A data folder in which `suti up` is at work."""

    data: Path
    crawl: Path

    def suti(self, *arguments: str) -> Said:
        return suti(*arguments, data=self.data)

    def done(self, *arguments: str) -> str:
        """What a command answers that must succeed."""
        said = self.suti(*arguments)
        assert said.code == 0, said
        return said.out

    def refused(self, *arguments: str) -> str:
        """What a command complains of: one line that names a reason."""
        said = self.suti(*arguments)
        assert said.code == 65, said
        assert said.out == ""
        complaint = said.error.strip().splitlines()[-1]
        assert complaint.startswith("suti: "), said
        return complaint

    def start(self, crawl: Path, **changes: int) -> str:
        settings = [f"--set={name}={value}" for name, value in (MINIATURE | changes).items()]
        return self.done("run", "start", "--crawl", str(crawl), *settings).strip()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stack]:
    folder = tmp_path_factory.mktemp("cli")
    data, log = folder / "data", folder / "up.log"
    drawn = suti("crawl", "draw", str(folder / "crawl.warc.gz"), "--pages", "4", "--size-px", "32", data=data)
    assert drawn.code == 0, drawn
    command = [sys.executable, "-m", "suti.cli.main", "up", "--data", str(data)]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        give_up = time.monotonic() + LIMIT_S
        while not (data / "endpoints.json").exists():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < give_up, log.read_text()
            time.sleep(0.1)
        yield Stack(data, folder / "crawl.warc.gz")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60.0 * PATIENCE)
    assert process.returncode == 0, log.read_text()
    assert "Starting NATS and 7 services" in log.read_text()


@pytest.fixture(scope="module")
def run(stack: Stack) -> str:
    return stack.start(stack.crawl)


@pytest.fixture(scope="module")
def finished(stack: Stack, run: str) -> Said:
    return stack.suti("run", "watch", run)


def pictures(folder: Path, count: int) -> list[str]:
    paths = [folder / f"{index:02d}.png" for index in range(count)]
    for index, path in enumerate(paths):
        Image.new("RGB", (40, 40), (5 * index, 200, 90)).save(path)
    return [str(path) for path in paths]


def test_without_services_commands_say_how_to_start_them(tmp_path: Path) -> None:
    for command in (["run", "list"], ["dead", "list"], ["subject", "list"], ["generate", "a cat"]):
        said = suti(*command, data=tmp_path / "nowhere")

        assert said.code == 78
        assert "NO_SERVER" in said.error
        assert f"suti up --data {tmp_path / 'nowhere'}" in said.error


def test_a_run_is_listed_and_says_what_it_waits_for(stack: Stack, run: str) -> None:
    assert len(run) == 26
    assert run in stack.done("run", "list")
    (listed,) = [one for one in json.loads(stack.done("run", "list", "--json")) if one["run_id"] == run]
    assert listed["order"]["input"]["url"] == str(stack.crawl)

    why = stack.done("run", "why", run)

    assert "grouping" in why
    assert "apprentice" in why
    assert len(stack.suti("run", "why", run, "--json").json()["stages"]) == 6


def test_a_subject_is_added_shown_and_drawn(stack: Stack, tmp_path: Path) -> None:
    subject = stack.done("subject", "add", *pictures(tmp_path, 3), "--name", "cup", "--caption", "a green cup").strip()

    assert subject in stack.done("subject", "list")
    assert stack.done("subject", "show", subject).count("a green cup") == 3
    said = stack.suti(
        *("generate", "a photo of a cup at sea", "--subject", subject, "--model", "warmstart"),
        *("--steps", "2", "--count", "2", "--seed", "7", "--enlarge", "4", "--out", str(tmp_path / "out")),
    )
    assert said.code == 0, said
    drawn = sorted((tmp_path / "out").glob("*.png"))
    assert len(drawn) == 2
    assert all(str(path) in said.out for path in drawn)
    assert "drawing" in said.error  # how far it is, in plain lines
    assert Image.open(io.BytesIO(drawn[0].read_bytes())).size == (128, 128)


def test_unknown_things_are_named(stack: Stack) -> None:
    for command in ("watch", "why", "cancel", "audit", "show"):
        complaint = stack.refused("run", command, UNKNOWN)
        assert "NOT_FOUND" in complaint
        assert UNKNOWN in complaint
        assert "suti run list" in complaint
    assert "suti models list" in stack.refused("generate", "a cat", "--model", "nosuch")
    assert "suti run list" in stack.refused("run", "report", UNKNOWN)
    assert "data folder" in stack.refused("trace", UNKNOWN)
    assert UNKNOWN in stack.refused("models", "promote", UNKNOWN)
    assert UNKNOWN in stack.refused("dead", "drop", UNKNOWN)
    assert "NO_SUBJECT" in stack.refused("generate", "a cat", "--subject", UNKNOWN, "--model", "warmstart")


def test_zero_or_fifty_demonstrations_are_refused(stack: Stack, tmp_path: Path) -> None:
    many = stack.refused("subject", "add", *pictures(tmp_path, 50))

    assert "DEMONSTRATION_COUNT" in many
    assert "1 to 10" in many
    none = stack.suti("subject", "add")
    assert none.code == 2
    assert "Missing argument" in none.error


def test_a_file_that_is_no_picture_is_named(stack: Stack, tmp_path: Path) -> None:
    good, fake, empty = pictures(tmp_path, 1)[0], tmp_path / "fake.jpg", tmp_path / "empty.jpg"
    fake.write_text("I am a text.")
    empty.touch()

    assert f"{fake}: PICTURE_NOT_A_PICTURE" in stack.refused("subject", "add", good, str(fake))
    assert str(empty) in stack.refused("subject", "add", good, str(empty))
    assert str(fake) in stack.refused("generate", "a cat", "--like", str(fake), "--model", "warmstart")
    missing = stack.suti("subject", "add", str(tmp_path / "missing.jpg"))
    assert missing.code == 2
    assert "does not exist" in missing.error


def test_an_empty_prompt_and_absurd_numbers_are_refused(stack: Stack) -> None:
    assert "PROMPT_EMPTY" in stack.refused("generate", "", "--model", "base")
    assert "PROMPT_TOO_LONG" in stack.refused("generate", "cat " * 1000, "--model", "base")
    for option, value in (("--steps", "100000"), ("--count", "0"), ("--enlarge", "100000"), ("--guidance", "nan")):
        said = stack.suti("generate", "a cat", "--model", "base", option, value)
        assert said.code in {2, 65}, said
        assert option.strip("-") in said.error, said


def test_a_crawl_that_is_not_there_or_no_field_starts_no_run(stack: Stack, tmp_path: Path) -> None:
    before = len(json.loads(stack.done("run", "list", "--json")))

    assert "nowhere.warc" in stack.refused("run", "start", "--crawl", str(tmp_path / "nowhere.warc"))
    assert "experts.stepz" in stack.refused("run", "start", "--crawl", str(stack.crawl), "--set", "experts.stepz=2")
    assert "--set" in stack.refused("run", "start", "--crawl", str(stack.crawl), "--set", "nonsense")
    assert len(json.loads(stack.done("run", "list", "--json"))) == before


def test_a_model_is_imported_once_and_listed(stack: Stack) -> None:
    source = str(packaged_models() / "base")

    said = stack.suti("models", "import", source, "--name", "mine", "--licence", "Apache-2.0")

    assert said.code == 0, said
    assert "importing" in said.error
    assert "mine" in stack.done("models", "list")
    kinds = {model["name"]: model["kind"] for model in json.loads(stack.done("models", "list", "--json"))}
    assert kinds["mine"] == "base"
    assert kinds["warmstart"] == "warmstart"
    assert "MODEL_EXISTS" in stack.refused("models", "import", source, "--name", "mine")
    nowhere = stack.suti("models", "import", "./nowhere/at-all")
    assert nowhere.code == 78
    assert "MODEL_MISSING" in nowhere.error


def test_work_that_cannot_be_done_is_told_replayed_and_dropped(stack: Stack, tmp_path: Path) -> None:
    broken = tmp_path / "broken.warc.gz"
    broken.write_bytes(b"this is no crawl")
    failing = stack.start(broken)

    (letter,) = given_up(stack, failing)

    assert letter["reason"] == "CRAWL_UNREADABLE"
    assert "CRAWL_UNREADABLE" in stack.done("dead", "list", "--run", failing)
    assert "suti dead" in stack.done("run", "why", failing)
    assert stack.done("dead", "replay", letter["letter_id"]).strip() == letter["letter_id"]
    again = given_up(stack, failing)  # its cause was not mended
    assert stack.done("dead", "drop", "--run", failing).split() == [one["letter_id"] for one in again]
    assert "No dead letters" in stack.done("dead", "list", "--run", failing)
    assert stack.suti("run", "watch", failing).code in {3, 4}


def given_up(stack: Stack, run: str) -> list[dict[str, Any]]:
    """The run's dead letters, once there are any."""
    give_up = time.monotonic() + LIMIT_S
    while not (letters := json.loads(stack.done("dead", "list", "--run", run, "--json"))):
        assert time.monotonic() < give_up
        time.sleep(0.2)
    return letters


def test_a_run_is_watched_audited_traced_and_its_apprentice_promoted(
    stack: Stack, run: str, finished: Said, tmp_path: Path
) -> None:
    assert finished.code == 0, finished
    assert "apprentice_sha256" in finished.out
    assert "apprentice: done" in finished.error  # plain lines, since nobody has a terminal

    assert "sound: everything is accounted for" in stack.done("run", "audit", run)
    audit = stack.suti("run", "audit", run, "--json").json()
    assert audit["sound"] is audit["complete"] is True
    stages = stack.suti("run", "show", run, "--json").json()["stages"]
    assert all(float(stage["elapsed"].removesuffix("s")) > 0 for stage in stages)
    trace = stack.done("trace", run)
    assert "suti_clustering: grouping shard" in trace
    assert "suti_experts-job" in trace
    assert all(f"load {model}" in trace for model in ("clip", "base", "captioner", "warmstart"))

    stack.done("run", "report", run, "--out", str(tmp_path / "report"))
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["state"] == "SUCCEEDED"
    assert report["dataset_digest"] in finished.out
    assert report["apprentice_sha256"] in finished.out
    told = {stage["stage"]: (stage["items_in"], stage["items_out"], stage["dropped"]) for stage in audit["stages"]}
    for stage, facts in report["stages"].items():
        numbers = (str(facts["items_in"]), str(facts["items_out"]))
        assert told[f"STAGE_{stage.upper()}"] == (*numbers, {k: str(n) for k, n in facts["dropped_by_reason"].items()})
    page = (tmp_path / "report" / "report.html").read_text()
    assert "The apprentice's loss" in page
    assert page.count("data:image/png") > report["sample"]["clusters"] > 0

    unpromoted = stack.refused("generate", "a cat", "--like", pictures(tmp_path, 1)[0])
    assert "suti models" in unpromoted
    assert run in stack.done("models", "promote", run)
    drawn = stack.done("generate", "a cat", "--like", pictures(tmp_path, 1)[0], "--out", str(tmp_path / "out"))
    assert run in drawn
    scored = stack.suti("evaluate", "--subjects", "2", "--pictures", "1", "--steps", "2", "--json").json()
    assert scored["model"] == f"runs/{run}"
    assert scored["scores"]["identified_16way"]["n"] == 2


def test_letters_of_a_run_that_goes_on_are_replayed_and_the_run_can_be_cancelled(stack: Stack) -> None:
    other = stack.start(stack.crawl, **{"experts.steps": 100_000})
    store = Store.open(DataFolder(stack.data).store_url)
    give_up = time.monotonic() + LIMIT_S
    while not Ledger(store, other).is_committed("grouping", 0):
        assert time.monotonic() < give_up
        time.sleep(0.1)
    letter = letter_of(ShardTicket(other, "grouping", 0))  # of work that is done: doing it again harms nobody
    DeadLetters(store).record(letter)

    assert stack.done("dead", "replay", "--run", other).strip() == letter.letter_id
    assert "No dead letters" in stack.done("dead", "list", "--run", other)
    assert stack.done("run", "cancel", other, "--reason", "not wanted").strip() in {"cancelling", "cancelled"}
    assert stack.suti("run", "watch", other).code == 5


def letter_of(ticket: ShardTicket) -> DeadLetter:
    return DeadLetter(
        letter_id=str(ULID()),
        subject=ticket.subject,
        body=ticket.encode(),
        reason="DELIVERIES_EXHAUSTED",
        message="its worker died",
        run_id=ticket.run_id,
        stage=ticket.stage,
        shard=ticket.shard,
        deliveries=5,
        trace_id="",
        at=datetime.now(UTC),
    )
