import time

import pytest

from suti.ml.captions.alt_text import clean, cut, same


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("Hey Duggee puppet", "Hey Duggee puppet"),
        ("Tom &amp;amp; Jerry&nbsp;mug", "Tom & Jerry mug"),
        ("IMG_0023.jpg", ""),
        ("DSC 1042", ""),
        ("zorvo fish IMG_0023.jpeg", "zorvo fish"),
        ("zorvo fish | free shipping | Buy now!", "zorvo fish"),
        ("ZORVO toy best price!", "ZORVO toy"),
        ("photo", ""),
        ("", ""),
        ("  ", ""),
        ("1234", ""),
        ("red\x00shoes\x1b[31m\u202e", "red shoes [31m"),
        ("<b>red</b> shoes", "red shoes"),
        ("shoes at https://shop.example/x?y=1 now", "shoes at now"),
        ("broken \ud800 surrogate", "broken surrogate"),
        ("Schuh f\u00fcr Kinder", "Schuh f\u00fcr Kinder"),
    ],
)
def test_only_what_speaks_of_the_picture_stays(raw: str, cleaned: str) -> None:
    assert clean(raw) == cleaned


@pytest.mark.parametrize("filling", ["word ", "&amp;", "<", "a.jpg ", "| ", "\x00", "1 "])
def test_megabytes_take_no_longer_than_a_line(filling: str) -> None:
    started = time.monotonic()

    text = clean(filling * (2_000_000 // len(filling)))

    assert len(text) <= 1_000
    assert time.monotonic() - started < 1.0


def test_a_text_is_cut_at_whole_words() -> None:
    assert cut("one two  three", max_words=2) == "one two"


def test_spellings_of_one_text_are_the_same() -> None:
    assert same("A photo, of a Fish!") == same("a photo of a fish")
