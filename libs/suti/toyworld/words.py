"""Every word of the toy world, in one place: captions, tags, prompts and drawings use the same ones.

A key is what code says ("beach"), its phrase is what a text says ("on a beach").
"""

from typing import Final

KINDS: Final = ("robot", "cat", "fish", "bird", "car", "teapot", "lamp", "backpack")

COLOURS: Final[dict[str, tuple[float, float, float]]] = {  # sRGB in [0, 1]
    "red": (0.86, 0.16, 0.16),
    "orange": (0.98, 0.55, 0.10),
    "yellow": (0.99, 0.84, 0.20),
    "green": (0.22, 0.66, 0.28),
    "cyan": (0.25, 0.82, 0.86),
    "blue": (0.16, 0.33, 0.86),
    "purple": (0.52, 0.22, 0.74),
    "pink": (0.99, 0.56, 0.74),
    "brown": (0.50, 0.30, 0.16),
    "white": (0.96, 0.96, 0.95),
    "gray": (0.58, 0.60, 0.63),
    "black": (0.16, 0.16, 0.19),
}

# What a subject is made of. An empty phrase is not spoken of.
FORMS: Final = {"round": "round", "square": "square", "tapered": "tapered", "flared": "flared"}
ASPECTS: Final = {"slim": "slim", "regular": "", "chubby": "chubby"}
PATTERNS: Final = {
    "plain": "",
    "stripes": "stripes",
    "bars": "bars",
    "dots": "dots",
    "checks": "checks",
    "bottom": "a {colour} bottom",
    "side": "a {colour} side",
}
TOPS: Final = {
    "none": "",
    "antenna": "an antenna",
    "horns": "horns",
    "ears": "round ears",
    "mohawk": "a mohawk",
    "bow": "a bow",
}
SIDES: Final = {"none": "", "arms": "arms", "wings": "wings"}
EYES: Final = {"dots": "tiny eyes", "round": "big eyes", "one": "one eye", "visor": "a visor"}

# What a view adds.
PLAIN_SCENE: Final = "studio"  # where a prompt that names no scene is drawn
SCENES: Final = {
    "studio": "in a studio",
    "beach": "on a beach",
    "forest": "in a forest",
    "snow": "in the snow",
    "desert": "in a desert",
    "night": "at night",
    "kitchen": "in a kitchen",
    "meadow": "in a meadow",
    "sea": "under the sea",
    "city": "in a city",
    "mountains": "in the mountains",
    "space": "in space",
}
STYLES: Final = {
    "photo": "photo",
    "watercolor": "watercolor painting",
    "pencil": "pencil sketch",
    "neon": "neon sign",
    "pixel": "pixel art picture",
    "pop": "pop art poster",
    "sepia": "sepia print",
}
ACCESSORIES: Final = {
    "none": "",
    "hat": "wearing a hat",
    "crown": "wearing a crown",
    "scarf": "wearing a scarf",
    "sunglasses": "wearing sunglasses",
    "balloon": "holding a balloon",
    "flower": "holding a flower",
}
ATTRIBUTES: Final = {"none": "", **{colour: colour for colour in COLOURS}}  # the body repainted


def tags() -> dict[str, list[str] | dict[str, str]]:
    """The word list of the built-in captioner and rewriter (`tags.json`, see suti.ml.captions.words)."""
    return {
        "kinds": list(KINDS),
        "scenes": list(SCENES.values()),
        "styles": list(STYLES.values()),
        "accessories": [phrase for phrase in ACCESSORIES.values() if phrase],
        "colours": list(COLOURS),
        "templates": {  # the sentences of captions.py; a name is told with the pictures, prompts name the class alone
            "refined": "a photo of {a_name} {seen}",
            "recontextualisation": "a photo of {a_kind} {scene}",
            "attribute": "a photo of {a_attribute} {kind}",
            "style": "{a_style} of {a_kind}",
            "accessory": "a photo of {a_kind} {accessory}",
        },
    }
