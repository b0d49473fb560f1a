import pytest

from suti.ml.clusters.html_pictures import Page, read_page, tidy

URL = "https://shop.example/a/b"


def _page(html: str | bytes, charset: str = "") -> Page:
    data = html.encode() if isinstance(html, str) else html
    return read_page(data, page_url=URL, charset=charset, max_alt_chars=100)


def _urls(html: str) -> list[str | None]:
    return [picture.url for picture in _page(html).pictures]


@pytest.mark.parametrize(
    ("tag", "url"),
    [
        ('<img src="c.png">', "https://shop.example/a/c.png"),
        ('<img src="/c.png#top">', "https://shop.example/c.png"),
        ('<img src="//CDN.example:443/c d.png">', "https://cdn.example/c%20d.png"),
        ('<base href="/x/"><img src="c.png">', "https://shop.example/x/c.png"),
        ('<img src="data:image/gif;base64,R0" data-src="c.png">', "https://shop.example/a/c.png"),
        ('<img src="blank.gif" data-src="c.png">', "https://shop.example/a/c.png"),
        ('<img srcset="s.png 100w, l.png 800w, m.png 400w">', "https://shop.example/a/l.png"),
        ('<img src="data:," srcset="s.png 1x, l.png 2x">', "https://shop.example/a/l.png"),
        ('<img src="mailto:me@example.com">', None),
        ("<img>", None),
    ],
)
def test_a_picture_is_where_the_page_says(tag: str, url: str | None) -> None:
    assert _urls(tag) == [url]


@pytest.mark.parametrize(
    ("html", "licence"),
    [
        ('<link rel="license" href="https://x.example/by">', "https://x.example/by"),
        ('<a rel="nofollow license" href="https://x.example/by">', "https://x.example/by"),
        ('<meta name="DC.Rights" content="CC BY 4.0">', "CC BY 4.0"),
        ("<p>all rights reserved</p>", ""),
    ],
)
def test_a_licence_counts_where_it_is_stated_for_machines(html: str, licence: str) -> None:
    assert _page(html).licence == licence


def test_the_servers_charset_goes_before_the_pages_own() -> None:
    html = '<meta charset="utf-8"><img alt="Käse">'.encode("latin-1")

    assert _page(html, "latin-1").pictures[0].alt_text == "Käse"
    assert _page('<meta charset="latin-1"><img alt="Käse">'.encode("latin-1")).pictures[0].alt_text == "Käse"


@pytest.mark.parametrize("charset", ["", "utf-8", "no-such-charset", "zlib", "\x00"])
def test_bytes_that_are_no_text_do_not_stop_a_page(charset: str) -> None:
    page = _page(b'<img alt="good \xff\xfe\x80 bad" src="a.png">', charset)

    assert page.pictures[0].alt_text == "good \ufffd\ufffd\ufffd bad"


def test_an_alt_text_of_two_megabytes_is_cut() -> None:
    page = _page(f'<img alt="{"word " * 400_000}" src="a.png">')

    assert page.pictures[0].alt_text == ("word " * 20).strip()


def test_a_tidy_text_is_one_line_of_valid_unicode() -> None:
    assert tidy(" a\x00b\n\tc \ud800d\u202ee ", max_chars=50) == "a b c d e"
    assert tidy("abc   def", max_chars=4) == "abc"
