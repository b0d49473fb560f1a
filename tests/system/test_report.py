"""The reports of a demo and of any run on made-up facts, in a real browser."""

import io
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from suti.report.facts import Bounds, Facts, ModelScores, Score, StageFacts, write_json
from suti.report.gallery import CandidateCard, ClusterSheet, DrawnRow, Gallery, Shown, SubjectSheet
from suti.report.page import render_page, render_run_page, write_page
from suti.report.run_facts import RunModel, RunReport, RunStageFacts, Sample

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_PROBE = (
    "<script>addEventListener('load', () => { document.title = 'pictures ' + document.images.length + ' broken ' + "
    "[...document.images].filter(one => !one.complete || !one.naturalWidth).length })</script>"
)


def a_png(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (48, 48), (number * 53 % 256, number * 97 % 256, 120)).save(buffer, "PNG")
    return buffer.getvalue()


def some_facts() -> Facts:
    score = Score(mean=0.42, low=0.35, high=0.49, n=224)
    scores = ModelScores(clip_t=score, clip_i=score, identified_16way=score, follows_prompt=score, overall=score)
    lost = Score(mean=-0.021, low=-0.05, high=0.01, n=224)
    return Facts(
        run_id="01JD0000000000000000000000",
        created_at="2026-01-02T03:04:05+00:00",
        seed=0,
        dataset_digest="ab" * 32,
        apprentice_sha256="cd" * 32,
        stages={
            "grouping": StageFacts(
                items="pictures",
                items_in=500,
                items_out=380,
                dropped=120,
                dropped_by_reason={"PICTURE_UNREADABLE": 40, "PAGE_TOO_FEW_PICTURES": 80},
                seconds=12.3,
            ),
            "experts": StageFacts(items="clusters", items_in=50, items_out=50, dropped=0, seconds=240.0),
        },
        scores={"base": scores, "warmstart": scores, "apprentice": scores, "expert": scores},
        apprentice_minus_warmstart=ModelScores(
            clip_t=lost, clip_i=lost, identified_16way=lost, follows_prompt=lost, overall=lost
        ),
        identified_16way_bounds=Bounds(ceiling=score, floor=score),
        seconds={"the run": 400.0, "total": 590.0},
        peak_rss_bytes=5 * 2**30,
        machine={"system": "Linux"},
        models={"base": "ef" * 32},
    )


def a_gallery() -> Gallery:
    models = ("base", "warmstart", "apprentice")
    row = DrawnRow(
        "a photo of a cat <on> a beach",
        {name: a_png(number) for number, name in enumerate(models)},
        dict.fromkeys(models, True),
        dict.fromkeys(models, False),
    )
    card = CandidateCard(
        a_png(7), a_png(8), "a photo of a cat", kept=True, reason="KEPT", gain=0.1, copy_similarity=0.5
    )
    refused = CandidateCard(a_png(9), a_png(8), "x", kept=False, reason="GAIN_TOO_LOW", gain=-0.1, copy_similarity=0.5)
    return Gallery(
        clusters=[ClusterSheet("https://example.org/", [Shown(a_png(number), "a cat") for number in range(4)])],
        candidates=[card, refused],
        subjects=[SubjectSheet("zorvo cat", [Shown(a_png(number), "a cat") for number in range(4)], [row])],
        losses=[1.0 / (step + 1) for step in range(300)],
    )


def test_the_json_holds_the_facts_that_are_promised(tmp_path: Path) -> None:
    write_json(some_facts(), tmp_path / "report.json")

    told = json.loads((tmp_path / "report.json").read_text())

    assert set(told["stages"]["grouping"]) >= {"items_in", "items_out", "dropped", "seconds"}
    for name in ("base", "warmstart", "apprentice", "expert"):
        for score in ("clip_t", "clip_i", "identified_16way", "follows_prompt", "overall"):
            assert set(told["scores"][name][score]) == {"mean", "low", "high", "n"}
    assert told["run_id"]
    assert told["dataset_digest"]
    assert told["apprentice_sha256"]
    assert told["peak_rss_bytes"]


def test_the_page_tells_every_reason_and_a_difference_of_either_sign() -> None:
    page = render_page(some_facts(), a_gallery())

    assert re.search(r"PICTURE_UNREADABLE <b>40</b>", page)
    assert re.search(r"PAGE_TOO_FEW_PICTURES <b>80</b>", page)
    assert "-0.021" in page


def test_a_picture_that_is_right_has_a_dot_and_one_of_the_right_subject_alone_a_ring() -> None:
    row = a_gallery().subjects[0].rows[0]
    seen = {name: name != "base" for name in row.by_model}
    sheet = replace(a_gallery().subjects[0], rows=[replace(row, identified=seen, overall={**seen, "warmstart": False})])

    page = render_page(some_facts(), replace(a_gallery(), subjects=[sheet]))

    assert re.findall(r'class="(picture[^"]*)"><img[^>]*by the (\w+)"', page) == [
        ("picture", "base"),
        ("picture half", "warmstart"),
        ("picture right", "apprentice"),
    ]


def test_texts_of_the_web_are_shown_and_never_run() -> None:
    page = render_page(some_facts(), a_gallery())

    assert "a cat &lt;on&gt; a beach" in page
    assert "<script" not in page


def test_the_page_needs_nothing_but_itself() -> None:
    page = render_page(some_facts(), a_gallery())

    assert not re.findall(r'(?:src|href)="(?!data:|report\.json)', page)


def a_run_report() -> RunReport:
    stages = {
        name: RunStageFacts(
            **stage.model_dump(),
            state="done",
            shards_committed=3,
            shards_total=4,
            shards_dead=1,
            shards_held=0,
            work_seconds=77.0,
        )
        for name, stage in some_facts().stages.items()
    }
    return RunReport(
        run_id="01JD0000000000000000000000",
        state="FAILED",
        ended=True,
        reason="STAGE_DEAD",
        message="experts: all of its shards are dead",
        created_at="2026-01-02T03:04:05+00:00",
        created_by="somebody",
        ended_at="2026-01-02T04:04:05+00:00",
        read_at="2026-01-02T05:04:05+00:00",
        crawl="s3://crawls/one",
        seed=0,
        preset="toy",
        overrides={"experts": {"steps": 3}},
        dataset_digest="",
        apprentice_sha256="",
        stages=stages,
        seconds=3600.0,
        models={"base": RunModel(name="base", sha256="ef" * 32)},
        recipes={"experts": {"steps": 3, "method": "lora"}},
        environment={"dtype": "float32", "torch_threads": 1, "versions": {"torch": "2"}},
        loss_steps=160,
        loss_curve=[1.0 / (step + 1) for step in range(80)],
        sample=Sample(shards=[0, 2], of_shards=9, clusters=1, candidates=2, left_out={"TOMBSTONED": 3}),
    )


@pytest.mark.parametrize("of", ["a demo", "any run"])
def test_a_browser_loads_every_picture_and_has_nothing_to_complain_of(of: str, tmp_path: Path) -> None:
    browser = next((path for name in _BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        pytest.skip("no Chromium: `apt install chromium`")
    demo = of == "a demo"
    told = render_page(some_facts(), a_gallery()) if demo else render_run_page(a_run_report(), a_gallery())
    write_page(told, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    (tmp_path / "probed.html").write_text(page.replace("</body>", f"{_PROBE}</body>"))

    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    looked = subprocess.run(
        [*command, profile, "--enable-logging=stderr", "--dump-dom", (tmp_path / "probed.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )

    pictures = 4 + 2 * 2 + (4 + 3 if demo else 0)
    assert f"<title>pictures {pictures} broken 0</title>" in looked.stdout
    assert "CONSOLE" not in looked.stderr
