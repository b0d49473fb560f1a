import gzip
import io
from collections import Counter

from suti.ml.clusters.crawl_records import CrawlRecord, RecordKind
from suti.ml.clusters.recipe import GroupingRecipe
from suti.ml.clusters.warc import read_warc
from tests.unit.ml.clusters.crawls import DATE, Answer, page, png, shop, warc

RECIPE = GroupingRecipe()


def _read(answers: list[Answer], recipe: GroupingRecipe = RECIPE) -> list[CrawlRecord]:
    return list(read_warc(io.BytesIO(warc(answers)), name="crawl.warc.gz", recipe=recipe))


def _of(kind: RecordKind, records: list[CrawlRecord]) -> list[CrawlRecord]:
    return [record for record in records if record.kind is kind]


def test_a_page_becomes_pairs_and_its_pictures_their_bytes() -> None:
    records = _read(shop(1, [1, 2]))

    assert [(pair.page_url, pair.picture_url, pair.alt_text) for pair in _of(RecordKind.PAIR, records)] == [
        ("https://shop.example/1", "https://shop.example/1/1.png", "thing 1"),
        ("https://shop.example/1", "https://shop.example/1/2.png", "thing 2"),
    ]
    assert [picture.source for picture in _of(RecordKind.PICTURE, records)] == [png(1), png(2)]
    assert {picture.fetched_at for picture in _of(RecordKind.PICTURE, records)} == {DATE}


def test_a_body_that_was_sent_compressed_is_unpacked() -> None:
    shown = page("https://shop.example/1", [("/1.png", "one")])
    sent = Answer(shown.url, gzip.compress(shown.body), shown.content_type, headers=(("Content-Encoding", "gzip"),))

    records = _read([sent])

    assert [pair.picture_url for pair in _of(RecordKind.PAIR, records)] == ["https://shop.example/1.png"]


def test_what_a_server_refused_is_recorded_with_its_status() -> None:
    records = _read([Answer("https://shop.example/x.png", b"gone", status="404 Not Found")])

    assert [(record.kind, record.reason, record.score) for record in records] == [
        (RecordKind.RECORD, "HTTP_NOT_OK", 404.0)
    ]


def test_a_picture_beyond_the_limit_is_not_carried() -> None:
    records = _read(shop(1, [1]), GroupingRecipe(max_picture_bytes=50))

    picture = _of(RecordKind.PICTURE, records)[0]
    assert (picture.reason, picture.source) == ("PICTURE_TOO_LARGE", None)


def test_a_page_of_too_many_pictures_is_dropped_whole() -> None:
    records = _read([page("https://shop.example/1", [("/1.png", "")] * 10_001)])

    assert [(record.kind, record.reason) for record in records] == [(RecordKind.PAGE, "PAGE_TOO_MANY_PICTURES")]


def test_a_page_without_an_address_on_the_web_is_dropped() -> None:
    records = _read([page("http://shop.example:99999/1", [("/1.png", "")])])

    assert [(record.kind, record.reason) for record in records] == [(RecordKind.PAGE, "PAGE_URL_INVALID")]


def test_inline_and_broken_addresses_have_their_reasons() -> None:
    records = _read([page("https://a.example/", [("data:image/gif;base64,R0", ""), ("http://[", ""), ("", "")])])

    assert Counter(pair.reason for pair in _of(RecordKind.PAIR, records)) == {
        "PICTURE_INLINE": 1,
        "PICTURE_URL_INVALID": 2,
    }


def test_a_damaged_record_is_one_drop_with_its_place() -> None:
    data = warc(shop(1, [1, 2]), gzip=False)

    records = list(read_warc(io.BytesIO(data[:-60]), name="cut.warc", recipe=RECIPE))

    damage = _of(RecordKind.RECORD, records)
    assert [record.reason for record in damage] == ["CRAWL_RECORD_CORRUPT"]
    assert damage[0].picture_url.startswith("cut.warc@")
    assert len(_of(RecordKind.PICTURE, records)) == 1


def test_nonsense_in_http_headers_harms_nothing_else() -> None:
    sound = warc(shop(1, [1]), gzip=False)
    broken = warc([Answer("https://a.example/", b"x")], gzip=False).replace(b"HTTP/1.1 200 OK", b"\xff\xfe nonsense!")
    broken = b"\r\n".join(line for line in broken.split(b"\r\n") if not line.startswith(b"WARC-Block-Digest"))

    records = list(read_warc(io.BytesIO(broken + sound), name="x", recipe=RECIPE))

    assert len(_of(RecordKind.PICTURE, records)) >= 1
    assert len(_of(RecordKind.PAIR, records)) == 1
