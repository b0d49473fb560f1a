"""Plans, with numbers worked out by hand, and crawls counted by their headers."""

import gzip
import io
import json
import struct
from datetime import UTC, datetime
from pathlib import Path

import pytest

from suti.core.records import Stage
from suti.stages.base_size import BaseSize, base_size
from suti.stages.crawl_counts import CrawlCounts, count_crawl
from suti.stages.plan import plan_run, plan_warnings
from suti.stages.run_spec import CrawlInput, RunSpec


def spec(**sections: dict[str, object]) -> RunSpec:
    return RunSpec.model_validate(
        {
            "run_id": "01RUN",
            "created_at": datetime(2026, 11, 21, tzinfo=UTC),
            "created_by": "a test",
            "input": {"url": "/crawl.warc", "format": "warc", "sha256": ""},
            "models": {"base": {"name": "base", "sha256": ""}, "clip": {"name": "clip", "sha256": ""}},
            **sections,
        }
    )


def test_a_plan_counts_shards_candidates_and_hours() -> None:
    run = spec(
        grouping={"shard_clusters": 10},
        captioning={"prompts_per_cluster": 2},
        experts={
            "steps": 100,
            "batch_pictures": 4,
            "samples_per_prompt": 3,
            "sampling": {"steps": 10, "guidance": 2.0},
        },
    )
    plan = {stage.stage: stage for stage in plan_run(run, CrawlCounts(40, 99, 1_000), BaseSize(0, 8), accelerators=2)}

    # 99 pictures make at most 33 clusters of 3, in shards of 10; each draws 2 x 3 candidates.
    assert [plan[stage].items_in for stage in Stage] == [99, 33, 33, 33, 198, 198]
    assert [plan[stage].shards for stage in Stage] == [1, 4, 4, 4, 4, 1]
    assert plan[Stage.EXPERTS].pods == 2


def test_an_experts_hours_are_its_passes_over_the_rate() -> None:
    run = spec(
        captioning={"prompts_per_cluster": 1},
        experts={"steps": 10, "batch_pictures": 1, "samples_per_prompt": 1, "sampling": {"steps": 15, "guidance": 2.0}},
    )
    size = BaseSize(parameters=1_000_000_000, side=100)  # 0.23 * 1e9 * 1e4 = 2.3e12 a pass
    plan = plan_run(run, CrawlCounts(1, 3, 0), size, accelerators=1)[3]

    # 10 steps cost 30 passes, 15 sampling steps with two branches 30 more: 60 * 2.3e12 / 100e12 = 1.38 seconds.
    assert plan.accelerator_hours == pytest.approx(1.38 / 3600)
    assert plan.core_hours == pytest.approx(1.38 / 3600 * 5_000)


def test_a_crawl_that_is_too_small_is_warned_of() -> None:
    warnings = plan_warnings(spec(), CrawlCounts(1, 2, 10), BaseSize(1, 1))

    assert warnings == ["the crawl has 2 pictures: the run will end as EMPTY"]


@pytest.mark.parametrize("zipped", [False, True])
def test_a_warc_is_counted_by_its_headers(zipped: bool, tmp_path: Path) -> None:
    def record(kind: str, body: bytes) -> bytes:
        http = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode() + body
        head = (
            f"WARC/1.0\r\nWARC-Type: response\r\nContent-Type: application/http\r\nContent-Length: {len(http)}\r\n\r\n"
        )
        return head.encode() + http + b"\r\n\r\n"

    records = [record("text/html; charset=utf-8", b"<html>")] + [record("image/png", b"x" * 400_000)] * 5
    data = b"".join(gzip.compress(one) if zipped else one for one in records)
    path = tmp_path / ("c.warc.gz" if zipped else "c.warc")
    path.write_bytes(data)

    counts = count_crawl(CrawlInput(url=str(path), format="warc", sha256=""))

    assert (counts.pages, counts.pictures, counts.size_bytes) == (1, 5, len(data))


def test_a_crawl_in_an_object_store_is_not_known_from_here() -> None:
    assert not count_crawl(CrawlInput(url="s3://bucket/crawl.warc.gz", format="warc", sha256="")).known


def test_a_bases_size_is_read_from_its_headers(tmp_path: Path) -> None:
    unet = tmp_path / "unet"
    unet.mkdir()
    (unet / "config.json").write_text('{"sample_size": 64}')
    header = json.dumps({"__metadata__": {}, "a": {"dtype": "F16", "shape": [3, 4], "data_offsets": [0, 24]}}).encode()
    file = io.BytesIO()
    file.write(struct.pack("<Q", len(header)) + header + b"\0" * 24)
    (unet / "diffusion_pytorch_model.safetensors").write_bytes(file.getvalue())

    assert base_size(tmp_path) == BaseSize(parameters=12, side=64)
    assert base_size(tmp_path / "nothing") == BaseSize(parameters=0, side=0)
