import hashlib
import io
import json
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image
from warcio.archiveiterator import ArchiveIterator

from suti.core.errors import InvalidArgument
from suti.toyworld.crawls import CrawlFacts, draw_crawl, draw_img2dataset, subjects_of_pages
from suti.toyworld.seeds import Namespace, namespace_of


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, CrawlFacts]:
    folder = tmp_path_factory.mktemp("crawl")
    path, truth = folder / "crawl.warc.gz", folder / "apart" / "truth.json"
    return path, truth, draw_crawl(path, truth_path=truth, pages=40, seed=3, size_px=32)


def answers(path: Path) -> dict[str, tuple[str, str, bytes]]:
    """URL -> (status, content type, body), read by warcio."""
    found: dict[str, tuple[str, str, bytes]] = {}
    with path.open("rb") as file:
        for record in ArchiveIterator(file):
            each: Any = record
            url = each.rec_headers.get_header("WARC-Target-URI")
            headers = each.http_headers
            found[url] = (headers.get_statuscode(), headers.get_header("Content-Type"), each.content_stream().read())
    return found


def opens(body: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(body)) as image:
            image.load()
    except OSError:
        return False
    return True


def test_a_crawl_has_its_exact_share_of_good_pages(crawl: tuple[Path, Path, CrawlFacts]) -> None:
    _, truth, facts = crawl
    kinds = Counter(page["kind"] for page in json.loads(truth.read_text())["pages"])
    assert kinds == {"good": 28, "few": 5, "strangers": 4, "copies": 2, "broken": 1}
    assert (facts.pages, facts.good_pages) == (40, 28)


def test_a_good_page_shows_its_subject_in_three_to_ten_different_pictures(crawl: tuple[Path, Path, CrawlFacts]) -> None:
    path, truth, _ = crawl
    served = answers(path)
    for page in json.loads(truth.read_text())["pages"]:
        if page["kind"] == "good":
            good = [picture for picture in page["pictures"] if not picture["fault"]]
            assert 3 <= len(good) <= 10
            assert all(picture["subject"] == page["subject"] for picture in good)
            bodies = [served[picture["url"]][2] for picture in good]
            assert len(set(bodies)) == len(bodies)
            assert all(opens(body) for body in bodies)


def test_every_picture_of_a_page_is_in_the_same_file_and_every_fault_is_real(
    crawl: tuple[Path, Path, CrawlFacts],
) -> None:
    path, truth, facts = crawl
    served = answers(path)
    faults: Counter[str] = Counter()
    for page in json.loads(truth.read_text())["pages"]:
        html = served[page["url"]][2].decode("utf-8")
        page_bodies = [served[picture["url"]][2] for picture in page["pictures"]]
        for picture, body in zip(page["pictures"], page_bodies, strict=True):
            fault = picture["fault"]
            faults[fault] += 1
            assert picture["url"].rpartition("/")[2] in html
            assert served[picture["url"]][0] == ("404" if fault == "missing" else "200")
            assert opens(body) == (fault not in {"missing", "truncated", "text", "empty"})
            assert (body == b"") == (fault == "empty")
            assert fault != "duplicate" or page_bodies.count(body) >= 2
            assert fault != "near-duplicate" or page_bodies.count(body) == 1 or page["kind"] == "copies"
    assert faults.total() == facts.pictures
    assert faults.total() - faults[""] == facts.faulty_pictures
    assert {"stranger", "duplicate", "near-duplicate", "icon"} <= set(faults)


def test_formats_are_mixed(crawl: tuple[Path, Path, CrawlFacts]) -> None:
    kinds = {kind for _, kind, _ in answers(crawl[0]).values()}
    assert {"image/jpeg", "image/png", "image/webp"} <= kinds


def test_the_same_seed_draws_the_same_bytes_and_another_seed_others(
    crawl: tuple[Path, Path, CrawlFacts], tmp_path: Path
) -> None:
    again, other = tmp_path / "again.warc.gz", tmp_path / "other.warc.gz"
    draw_crawl(again, truth_path=tmp_path / "truth.json", pages=40, seed=3, size_px=32)
    draw_crawl(other, truth_path=tmp_path / "truth.json", pages=2, seed=4, size_px=32)
    assert again.read_bytes() == crawl[0].read_bytes()
    assert not set(answers(other)) & set(answers(again))


def test_the_truth_is_told_apart_from_the_crawl(crawl: tuple[Path, Path, CrawlFacts]) -> None:
    path, truth, _ = crawl
    about = subjects_of_pages(truth)
    assert len(about) == 28 + 5 + 2
    assert all(namespace_of(subject) is Namespace.CRAWL for subject in about.values())
    for url, (_, kind, body) in answers(path).items():
        if kind.startswith("text/html") and url in about:
            assert b"stranger" not in body
            assert about[url].pattern == "plain" or f"{about[url].colour_second} ".encode() not in body


def test_the_same_pages_come_as_img2dataset_shards(crawl: tuple[Path, Path, CrawlFacts], tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    facts = draw_img2dataset(
        folder, truth_path=tmp_path / "truth.json", pages=40, seed=3, size_px=32, pairs_per_shard=100
    )
    served = answers(crawl[0])
    seen = 0
    for table in sorted(folder.glob("*.parquet")):
        with tarfile.open(table.with_suffix(".tar")) as tar:
            names = {Path(name).stem: name for name in tar.getnames() if not name.endswith((".txt", ".json"))}
            for row in pq.read_table(table).to_pylist():
                seen += 1
                body = served[row["url"]][2]
                assert row["page_url"] in served
                if row["status"] == "success":
                    file = tar.extractfile(names[row["key"]])
                    assert file is not None
                    assert file.read() == body
                    assert row["sha256"] == hashlib.sha256(body).hexdigest()
                else:
                    assert row["key"] not in names
    assert seen == facts.pictures == crawl[2].pictures


@pytest.mark.parametrize(("pages", "size_px"), [(0, 32), (5, 8)])
def test_a_crawl_of_nothing_is_refused(pages: int, size_px: int, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument):
        draw_crawl(tmp_path / "c.warc.gz", truth_path=tmp_path / "t.json", pages=pages, size_px=size_px)
