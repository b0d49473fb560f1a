import pytest

from suti.core import ids
from suti.ml.clusters.urls import UrlInvalid, canonical, resolve


@pytest.mark.parametrize(
    ("url", "spelled"),
    [
        ("HTTP://Shop.Example:80/a#b", "http://shop.example/a"),
        ("https://shop.example", "https://shop.example/"),
        ("https://shop.example/a b.jpg", "https://shop.example/a%20b.jpg"),
        ("https://shop.example/Käse?q=ü", "https://shop.example/K%C3%A4se?q=%C3%BC"),
        ("https://shop.example/a%20b?", "https://shop.example/a%20b"),
        ("https://shop.example:8443/a", "https://shop.example:8443/a"),
    ],
)
def test_one_place_has_one_spelling(url: str, spelled: str) -> None:
    assert canonical(url) == spelled
    assert canonical(spelled) == spelled
    assert ids.canonical_url(spelled) == spelled


@pytest.mark.parametrize(
    "url",
    ["", "a.png", "data:image/png;base64,x", "ftp://a.example/", "http://", "http://a.example:99999/", "http://["],
)
def test_what_is_no_place_on_the_web_is_refused(url: str) -> None:
    with pytest.raises(UrlInvalid):
        canonical(url)


def test_a_reference_is_resolved_against_its_page() -> None:
    assert resolve("https://shop.example/a/b", "../c d.png") == "https://shop.example/c%20d.png"
    with pytest.raises(UrlInvalid):
        resolve("https://shop.example/", "x" * 10_000)
