"""What a page says of its pictures: every <img> with its address and alt text, and the page's licence."""

import codecs
import re
from dataclasses import dataclass

from selectolax.lexbor import LexborHTMLParser, LexborNode

from suti.ml.clusters.urls import UrlInvalid, canonical, resolve

_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_SOURCE_ATTRIBUTES = ("data-src", "data-original", "data-lazy-src", "src")  # lazy pages keep a placeholder in src
_SET_ATTRIBUTES = ("srcset", "data-srcset")
_LICENCE_NAMES = frozenset({"license", "licence", "dc.license", "dc.rights", "dcterms.license", "dcterms.rights"})
_MAX_LICENCE_CHARS = 500


@dataclass(frozen=True, slots=True)
class PagePicture:
    """One <img>. `url` is canonical; where it has none, `inline` tells pictures within the page from broken ones."""

    url: str | None
    written: str  # the address as the page has it, cut
    alt_text: str
    inline: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """A page's pictures in its own order, and its licence as stated (empty if it said nothing)."""

    pictures: tuple[PagePicture, ...]
    licence: str


def read_page(html: bytes, *, page_url: str, charset: str = "", max_alt_chars: int) -> Page:
    """The page's pictures. Any bytes are a page: what cannot be decoded becomes U+FFFD.

    `page_url` is canonical; `charset` is what the server said, else the page's own <meta> counts, else UTF-8.
    """
    tree = LexborHTMLParser(_decode(html, charset))
    base = _base(tree, page_url)
    pictures = tuple(_picture(node, base, max_alt_chars) for node in tree.css("img"))
    return Page(pictures=pictures, licence=_licence(tree))


def tidy(text: str, *, max_chars: int) -> str:
    """The text as one line of valid Unicode, without control characters, cut to `max_chars`."""
    head = text[: 8 * max_chars]  # enough even if most of it is blanks; a 2 MB text need not be walked
    printable = "".join(letter if letter.isprintable() else " " for letter in head)
    return " ".join(printable.encode("utf-8", "replace").decode("utf-8").split())[:max_chars].rstrip()


def _decode(html: bytes, charset: str) -> str:
    stated = _CHARSET.search(html[:4096])
    for name in (charset, stated[1].decode("ascii") if stated else "", "utf-8"):
        try:
            if name and codecs.lookup(name):
                return html.decode(name, errors="replace")
        except (LookupError, ValueError):  # no charset at all, or a codec that is none of text
            continue
    return html.decode("utf-8", errors="replace")


def _base(tree: LexborHTMLParser, page_url: str) -> str:
    node = tree.css_first("base[href]")
    if node is not None:
        try:
            return resolve(page_url, _attribute(node, "href"))
        except UrlInvalid:
            pass
    return page_url


def _picture(node: LexborNode, base: str, max_alt_chars: int) -> PagePicture:
    written = _address(node)
    alt_text = tidy(_attribute(node, "alt"), max_chars=max_alt_chars)
    if written.lower().startswith("data:"):
        return PagePicture(None, written[:40], alt_text, inline=True)
    try:
        url = resolve(base, written) if written else None
    except UrlInvalid:
        url = None
    return PagePicture(url, tidy(written, max_chars=200), alt_text)


def _address(node: LexborNode) -> str:
    """Where the picture is: a lazy address before a placeholder, the largest of a set where there is no other."""
    sources = [value for name in _SOURCE_ATTRIBUTES if (value := _attribute(node, name).strip())]
    outside = [value for value in sources if not value.lower().startswith("data:")]
    sets = [value for name in _SET_ATTRIBUTES if (value := _largest(_attribute(node, name)))]
    return next(iter([*outside, *sets, *sources]), "")


def _largest(srcset: str) -> str:
    """The address with the largest width or density of a `srcset`."""
    best, best_size = "", -1.0
    for candidate in re.split(r",\s+|,$", srcset[:65_536].strip()):  # addresses may hold commas, but not before blanks
        address, _, descriptor = candidate.strip().partition(" ")
        number = re.fullmatch(r"\s*(\d+(?:\.\d+)?)[wx]\s*", descriptor)
        size = float(number[1]) if number else 1.0
        if address and size > best_size:
            best, best_size = address, size
    return best


def _licence(tree: LexborHTMLParser) -> str:
    for node in tree.css("link[rel~=license], a[rel~=license]"):
        if href := _attribute(node, "href").strip():
            return tidy(_absolute(href), max_chars=_MAX_LICENCE_CHARS)
    for node in tree.css("meta[name][content]"):
        if _attribute(node, "name").strip().lower() in _LICENCE_NAMES:
            return tidy(_attribute(node, "content"), max_chars=_MAX_LICENCE_CHARS)
    return ""


def _absolute(href: str) -> str:
    try:
        return canonical(href)
    except UrlInvalid:
        return href


def _attribute(node: LexborNode, name: str) -> str:
    return node.attributes.get(name) or ""
