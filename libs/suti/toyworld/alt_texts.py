"""Alt texts as shops write them: most name the product, some say what is seen, some say nothing."""

import random

from suti.toyworld import words
from suti.toyworld.captions import name
from suti.toyworld.subjects import Subject
from suti.toyworld.views import View

# A template and how often it is used, in percent; a quarter say little or nothing.
_TEMPLATES = {
    "{product}": 12,
    "{Product}": 7,
    "{product} {number}": 5,
    "{product} {scene}": 22,
    "{colour} {product}": 14,
    "the {colour} {product} {scene}": 14,
    "": 8,
    "IMG_{counter}.jpg": 5,
    "DSC0{counter}.JPG": 3,
    "{product} | buy now, free shipping": 2,
    "{product} | best price | in stock": 2,
    "hot sale 50% off | {product}": 2,
    "{kind}": 4,
}


def alt_text(subject: Subject, view: View, *, number: int, choose: random.Random) -> str:
    """The alt text of the page's picture with a 0-based number."""
    product = name(subject)
    return choose.choices(tuple(_TEMPLATES), tuple(_TEMPLATES.values()))[0].format(
        product=product,
        Product=product.title(),
        number=number + 1,
        scene=words.SCENES[view.scene],
        colour=subject.colour_body,
        counter=f"{choose.randint(1, 9999):04d}",
        kind=subject.kind,
    )
