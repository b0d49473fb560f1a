import json
import shutil
from pathlib import Path

import pytest

from suti.core.errors import InvalidArgument, NotFound
from suti.local.folder import packaged_models
from suti.ml.clusters.calibrate import CalibrationImpossible, ThresholdsUnwritable, load_thresholds
from suti.ml.model_files import ModelInvalid, ModelMissing, folder_digest
from suti.stages.crawls import CrawlMissing
from suti.toyworld.crawls import draw_crawl
from tests.unit.cli.conftest import Call


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return Path(shutil.copytree(packaged_models() / "clip", tmp_path / "clip"))


def test_limits_are_found_shown_and_written_on_demand(models: Call, clip: Path, held_out_crawl: Path) -> None:
    (clip / "thresholds.json").unlink()
    digest = folder_digest(clip)

    shown = models("calibrate", str(clip), "--crawl", str(held_out_crawl))

    assert shown.exit_code == 0
    assert "true pages" in shown.stdout
    assert "shuffled" in shown.stdout
    assert "--write" in shown.stderr
    assert not (clip / "thresholds.json").exists()

    written = models("calibrate", str(clip), "--crawl", str(held_out_crawl), "--write", "--json")

    found = json.loads(written.stdout)
    kept = load_thresholds(clip, clip_sha256=digest)
    assert kept is not None
    assert found["thresholds"] == kept.model_dump()
    assert kept.similarity_low < kept.similarity_high
    assert kept.low_accuracy > 0.75
    assert kept.min_gain is None
    assert kept.max_copy_similarity is not None
    similarities = found["similarities"]
    assert len(similarities["shuffled"]) == len(similarities["true pages"]) == kept.same_clusters >= 8


def test_a_crawl_with_too_few_clusters_is_refused(models: Call, clip: Path, tmp_path: Path) -> None:
    before = (clip / "thresholds.json").read_bytes()
    draw_crawl(tmp_path / "few.warc.gz", truth_path=tmp_path / "truth.json", pages=4, seed=1, size_px=32)

    with pytest.raises(CalibrationImpossible, match="give a larger crawl"):
        models("calibrate", str(clip), "--crawl", str(tmp_path / "few.warc.gz"), "--write")

    assert (clip / "thresholds.json").read_bytes() == before


def test_a_missing_model_folder_is_named(models: Call, tmp_path: Path, held_out_crawl: Path) -> None:
    with pytest.raises(ModelMissing, match="nowhere"):
        models("calibrate", str(tmp_path / "nowhere"), "--crawl", str(held_out_crawl))


def test_a_folder_that_is_no_clip_is_refused(models: Call, held_out_crawl: Path) -> None:
    with pytest.raises(ModelInvalid, match="open_clip_config"):
        models("calibrate", "base", "--crawl", str(held_out_crawl))


def test_a_missing_crawl_and_a_missing_run_are_named(models: Call, tmp_path: Path) -> None:
    with pytest.raises(CrawlMissing, match=r"nowhere\.warc"):
        models("calibrate", "clip", "--crawl", str(tmp_path / "nowhere.warc"))
    with pytest.raises(NotFound, match="no run '01ARZ3NDEKTSV4RRFFQ69G5FAV'"):
        models("calibrate", "clip", "--run", "01ARZ3NDEKTSV4RRFFQ69G5FAV")


def test_clusters_come_from_a_crawl_or_a_run_and_not_from_both(models: Call) -> None:
    for given in ([], ["--crawl", "a.warc", "--run", "b"]):
        with pytest.raises(InvalidArgument, match="one of --crawl and --run"):
            models("calibrate", "clip", *given)


def test_a_model_folder_that_cannot_be_written_is_told(models: Call, clip: Path, held_out_crawl: Path) -> None:
    (clip / "thresholds.json").unlink()
    (clip / "thresholds.json").mkdir()  # root may write everywhere, but no file over a folder

    with pytest.raises(ThresholdsUnwritable, match="copy the model"):
        models("calibrate", str(clip), "--crawl", str(held_out_crawl), "--write", "--json")
