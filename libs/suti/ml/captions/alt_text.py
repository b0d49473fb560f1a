"""Alt texts as the web writes them, made fit to read: file names, spam, entities and control characters go."""

import html
import re
import unicodedata

MAX_CHARS = 1_000  # of the raw text; what stands beyond was never meant for a reader
_FILE_NAME = re.compile(r"\S+\.(?:jpe?g|png|gif|webp|bmp|tiff?|svg|heic|avif)\b", re.IGNORECASE)
_CAMERA_NAME = re.compile(
    r"\b(?:img|dsc[nf]?|p|pxl|image|photo|picture|pic|screenshot|untitled|dcim)[ _-]*\d[\d _-]*\b", re.IGNORECASE
)
_ADDRESS = re.compile(r"(?:https?://|www\.)\S+|\S+@\S+\.\w+", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]{0,200}>")
_SPAM = re.compile(
    r"buy now|buy online|free (?:shipping|delivery)|best (?:price|deal|quality|seller)|click here"
    r"|add to (?:cart|basket)|limited (?:offer|time)|hot sale|on sale|\d+ ?% off|discount|cheap|wholesale"
    r"|order (?:now|today)|in stock|coupon|subscribe|newsletter|all rights reserved|copyright",
    re.IGNORECASE,
)
_SEGMENT = re.compile(r"\s*(?:[|•·»!;]|\s[-\u2013\u2014]\s)\s*")
_PLACEHOLDERS = frozenset(
    {"image", "photo", "picture", "pic", "img", "logo", "icon", "null", "none", "undefined", "alt"}
)


def clean(alt_text: str) -> str:
    """The part of an alt text that says something about the picture; empty where nothing does.

    Never fails, and takes no longer for a text of megabytes than for one of a thousand characters.
    """
    text = html.unescape(html.unescape(alt_text[:MAX_CHARS]))  # twice: "&amp;amp;" is common
    text = unicodedata.normalize("NFC", text.encode("utf-8", "ignore").decode("utf-8"))
    text = "".join(character if _is_printable(character) else " " for character in text)
    for noise in (_TAG, _ADDRESS, _FILE_NAME, _CAMERA_NAME, _SPAM):
        text = noise.sub(" ", text)
    segments = [segment.strip(" ,.:-_/\"'") for segment in _SEGMENT.split(text)]
    text = " ".join(" ".join(segment for segment in segments if segment).split())
    return "" if text.lower() in _PLACEHOLDERS or not any(character.isalpha() for character in text) else text


def cut(text: str, *, max_words: int) -> str:
    """The first words of a text."""
    return " ".join(text.split()[:max_words])


def same(text: str) -> str:
    """What two spellings of one text have in common: words alone, lower case."""
    return " ".join(re.findall(r"\w+", text.lower()))


def _is_printable(character: str) -> bool:
    return unicodedata.category(character)[0] not in "CZ" or character == " "
