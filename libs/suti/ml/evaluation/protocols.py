"""How a number came about, spelt out: two scores may be compared where their protocol ids are equal, and only there.

The same model's DINO score was published as 0.69 and as 0.80: scripts differ in which references they average over,
in how they shrink pictures (facebookresearch/dino: short side to 256, bicubic, middle 224; transformers' processor:
224 x 224 squashed, bilinear), in whether backgrounds count and in which words CLIP-T reads.
"""

from typing import ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from suti.core.errors import BadConfiguration

_SHORT = 12  # digits of a model's SHA-256 in an id: enough to tell models apart


class UnknownProtocol(BadConfiguration):
    """There is no protocol of that name."""

    reason: ClassVar[str] = "EVALUATION_PROTOCOL_UNKNOWN"


class Preprocessing(BaseModel):
    """From a picture to an encoder's input; the side in pixels is the encoder's own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    resize: Literal["short", "squash"] = Field(
        default="short", description="The shorter side, or both whatever the shape."
    )
    crop: float = Field(
        default=224 / 256,
        gt=0,
        le=1,
        description="The middle square that is kept, as a fraction of the resized shorter side.",
    )
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def spelt(self, side_px: int) -> str:
        """In one word, such as `short256-bicubic-crop224-mean.485,.456,.406-std.229,.224,.225`."""
        resized = round(side_px / self.crop)
        numbers = [",".join(_number(value) for value in row) for row in (self.mean, self.std)]
        cropped = f"crop{side_px}-" if resized != side_px or self.resize == "short" else ""
        return f"{self.resize}{resized}-{self.interpolation}-{cropped}mean{numbers[0]}-std{numbers[1]}"


def _number(value: float) -> str:
    """To three digits, without zeros at its ends: `.5`, `1.`, `0`."""
    found = f"{value:.3f}".strip("0")
    return "0" if found == "." else found


class Protocol(BaseModel):
    """Everything but the models that changes a score."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    references: Literal["all", "others"] = Field(
        default="all", description="Which real pictures are averaged over: all, or those the system did not see."
    )
    background: Literal["kept", "removed"] = Field(
        default="kept",
        description="removed: outside its mask, a picture is what an encoder's preprocessing turns into 0; kept: alpha "
        "is laid over white.",
    )
    picture: Preprocessing = Preprocessing()
    text: Literal["class", "token-class"] = Field(
        default="class",
        description="What stands for the subject in the text of CLIP-T: its class word, or token and class.",
    )

    def protocol_id(self, *, dino_sha256: str, dino_px: int, clip_sha256: str) -> str:
        """The protocol with its models, for people and for equality.

        CLIP's preprocessing belongs to the model and is covered by its hash.
        """
        return ";".join(
            (
                self.name,
                f"references={self.references}",
                f"background={'kept,alpha-on-white' if self.background == 'kept' else self.background}",
                f"text={self.text}",
                "score=mean-cosine",
                f"dino=cls@{dino_sha256[:_SHORT]},{self.picture.spelt(dino_px)}",
                f"clip={clip_sha256[:_SHORT]},own-preprocessing",
            )
        )


# DINO and CLIP-I: "the average pairwise cosine similarity between embeddings of generated and real images"; CLIP-T: of
# prompt and image (DreamBooth, section 4.2; SuTI, section 5.1 follows). The token is nothing that CLIP could know.
DREAMBENCH: Final = Protocol(name="dreambench")
# The same with backgrounds removed from references and drawings, so that a scene that was copied along scores nothing
# (masked DINO as in JeDi, CVPR 2024).
MASKED: Final = Protocol(name="masked", background="removed")
# As DreamBooth's DINO is measured by scripts on top of transformers' own processor of `facebook/dino-vits16`.
SQUASHED: Final = Protocol(name="squashed", picture=Preprocessing(resize="squash", crop=1.0, interpolation="bilinear"))
# Fidelity to the subject rather than to the pictures that the system saw.
UNSEEN_REFERENCES: Final = Protocol(name="unseen-references", references="others")

# For the toy world's pictures of 32 pixels, and the small ViT that was trained on them.
TOY: Final = Protocol(
    name="toy", picture=Preprocessing(resize="squash", crop=1.0, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
)

PROTOCOLS: Final = {one.name: one for one in (DREAMBENCH, MASKED, SQUASHED, UNSEEN_REFERENCES, TOY)}


def named_protocol(name: str) -> Protocol:
    """The protocol of that name. Raises UnknownProtocol."""
    if name not in PROTOCOLS:
        raise UnknownProtocol(f"no protocol {name[:64]!r}: name one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
