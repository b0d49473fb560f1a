"""What callers hold, as messages: files and bytes as pictures, names as models, dictionaries as overrides."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.struct_pb2 import Struct

from suti.api.pipeline.v1.pipeline_pb2 import CrawlFormat, CrawlInput, Preset, RunModels, RunOrder
from suti.api.types.v1.types_pb2 import Demonstration, ModelRef, Picture, Sampler, Skill
from suti.core.errors import InvalidArgument
from suti.core.limits import PICTURE_BYTES

PresetName = Literal["", "paper", "toy"]
CrawlFormatName = Literal["", "warc", "img2dataset"]
SamplerName = Literal["", "ddpm", "ddim", "dpmsolver++", "unipc"]
SkillName = Literal["recontextualisation", "attribute", "style", "accessory"]
PictureSource = bytes | Path

_PRESETS: "Mapping[str, Preset.ValueType]" = {
    "": Preset.PRESET_UNSPECIFIED,
    "paper": Preset.PRESET_PAPER,
    "toy": Preset.PRESET_TOY,
}
_FORMATS: "Mapping[str, CrawlFormat.ValueType]" = {
    "": CrawlFormat.CRAWL_FORMAT_UNSPECIFIED,
    "warc": CrawlFormat.CRAWL_FORMAT_WARC,
    "img2dataset": CrawlFormat.CRAWL_FORMAT_IMG2DATASET,
}
_SAMPLERS: "Mapping[str, Sampler.ValueType]" = {
    "": Sampler.SAMPLER_UNSPECIFIED,
    "ddpm": Sampler.SAMPLER_DDPM,
    "ddim": Sampler.SAMPLER_DDIM,
    "dpmsolver++": Sampler.SAMPLER_DPMSOLVER_PP,
    "unipc": Sampler.SAMPLER_UNIPC,
}
_SKILLS: "Mapping[str, Skill.ValueType]" = {
    "recontextualisation": Skill.SKILL_RECONTEXTUALISATION,
    "attribute": Skill.SKILL_ATTRIBUTE,
    "style": Skill.SKILL_STYLE,
    "accessory": Skill.SKILL_ACCESSORY,
}


def picture(source: PictureSource) -> Picture:
    """A PNG, JPEG or WebP file, or its bytes, to be sent inline.

    Raises:
        InvalidArgument: it is empty or over 8 MiB.
        OSError: the file cannot be read.
    """
    content = source.read_bytes() if isinstance(source, Path) else source
    if not 0 < len(content) <= PICTURE_BYTES:
        raise InvalidArgument("picture", f"{len(content)} bytes; send 1 byte to 8 MiB, shrink it first")
    return Picture(content=content)


def demonstration(source: PictureSource, caption: str = "") -> Demonstration:
    """A picture of a subject with its caption. Raises as `picture` does."""
    return Demonstration(picture=picture(source), caption=caption)


def model_ref(name: str) -> ModelRef | None:
    """A model by name; nothing for an empty name, which leaves the choice to the service."""
    return ModelRef(name=name) if name else None


def sampler(name: SamplerName) -> "Sampler.ValueType":
    """A sampler by name. Raises InvalidArgument for others."""
    return _choice("sampler", name, _SAMPLERS)


def skills(names: Iterable[SkillName]) -> "list[Skill.ValueType]":
    """Skills by name. Raises InvalidArgument for others."""
    return [_choice("skills", name, _SKILLS) for name in names]


def overrides(values: Mapping[str, object] | None) -> Struct | None:
    """A nested dictionary of plain values, as in `run.json`.

    Raises:
        InvalidArgument: a value is no JSON.
    """
    if not values:
        return None
    try:
        return ParseDict(dict(values), Struct())
    except (ParseError, TypeError, ValueError, AttributeError) as error:
        raise InvalidArgument("overrides", f"{error}; give only what JSON knows") from error


def run_order(
    crawl: str,
    *,
    crawl_format: CrawlFormatName = "",
    preset: PresetName = "",
    seed: int = 0,
    base: str = "",
    clip: str = "",
    warmstart: str = "",
    changes: Mapping[str, object] | None = None,
) -> RunOrder:
    """What is wanted of a run: `crawl` is a folder, file or URL as the workers see it; `changes` override the preset.

    Raises:
        InvalidArgument: a name is unknown, the seed is out of [0, 2**63), or `changes` are no JSON.
    """
    return RunOrder(
        input=CrawlInput(url=crawl, format=_choice("crawl_format", crawl_format, _FORMATS)),
        preset=_choice("preset", preset, _PRESETS),
        seed=checked_seed(seed),
        models=RunModels(base=model_ref(base), clip=model_ref(clip), warmstart=model_ref(warmstart)),
        overrides=overrides(changes),
    )


def checked_seed(seed: int) -> int:
    """The seed, if it lies in [0, 2**63). Raises InvalidArgument otherwise."""
    if not 0 <= seed < 2**63:
        raise InvalidArgument("seed", f"{seed} is not in [0, 2**63)")
    return seed


def _choice[T](field: str, name: str, choices: Mapping[str, T]) -> T:
    if name not in choices:
        raise InvalidArgument(field, f"{name!r} is none of {', '.join(filter(None, choices))}")
    return choices[name]
