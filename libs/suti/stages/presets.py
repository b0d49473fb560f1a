"""Recipes to start from: the paper's, and values for the small models that come with Suti.

A preset says only what differs from the recipes' defaults, which are the paper's.
"""

from collections.abc import Mapping
from typing import Literal, cast

from pydantic import JsonValue

PresetName = Literal["paper", "toy"]

# What overrides may name: the recipes of `run.json`, and the part of its environment that a caller chooses.
SECTIONS = frozenset(
    {"grouping", "selection", "captioning", "experts", "filtering", "apprentice", "generation", "environment"}
)

PAPER: Mapping[str, JsonValue] = {}

TOY: Mapping[str, JsonValue] = {
    "grouping": {"shard_clusters": 10, "store_side_px": 64},
    "selection": {"similarity_low": 0.5, "similarity_high": 0.995},
    "captioning": {"captioner": "tags", "rewriter": "grammar", "prompts_per_cluster": 4},
    "experts": {
        "optimizer": "adamw",
        "steps": 60,
        "learning_rate": 5e-4,
        "batch_pictures": 4,
        "samples_per_prompt": 2,
        "sampling": {"sampler": "dpmsolver++", "steps": 12, "guidance": 3.0, "batch_pictures": 8},
    },
    # Of the small CLIP a higher gain prefers drawings of the wrong subject (docs/decisions/0009).
    "filtering": {"min_gain": 0.0, "max_copy_similarity": 0.999},
    "apprentice": {
        "start": "warmstart",
        "optimizer": "adamw",
        "steps": 100,
        "learning_rate": 1e-5,
        "warmup_steps": 10,
        "batch_subjects": 4,
        "targets_per_subject": 4,
        "ema_decay": 0.98,
        "checkpoint_steps": 50,
    },
    "generation": {"sampler": "dpmsolver++", "steps": 14, "guidance": 2.0, "batch_pictures": 8},
}

PRESETS: Mapping[PresetName, Mapping[str, JsonValue]] = {"paper": PAPER, "toy": TOY}

# Models by role where a caller names none. The paper's base is not public, so `paper` has none.
PRESET_MODELS: Mapping[PresetName, Mapping[str, str]] = {
    "paper": {"clip": "ViT-L-14/openai"},
    "toy": {"base": "base", "clip": "clip", "warmstart": "warmstart"},
}


def merged(*layers: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The layers as one, later ones winning field by field, however deep."""
    result: dict[str, JsonValue] = {}
    for layer in layers:
        for name, value in layer.items():
            before = result.get(name)
            if isinstance(before, dict) and isinstance(value, dict):
                result[name] = merged(cast("dict[str, JsonValue]", before), cast("dict[str, JsonValue]", value))
            else:
                result[name] = merged(cast("dict[str, JsonValue]", value)) if isinstance(value, dict) else value
    return result
