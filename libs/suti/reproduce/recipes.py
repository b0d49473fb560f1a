"""What rivals are, in words for a page: each recipe's values, and where they differ from its defaults."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from suti.ml.rivals.every import AnyRival
from suti.ml.rivals.fine_tuned import DreamBooth
from suti.reproduce.conditions import Condition
from suti.reproduce.drawings import DrawingCell, Truth
from suti.reproduce.rival_steps import steps_of
from suti.reproduce.sources import Given, Packaged, Source, Taught

# Of an expert's recipe, what a rival does not use.
_UNSAID = frozenset({"rival", "sampling", "samples_per_prompt", "keep_experts", "together", "method"})


def said_recipes(conditions: Sequence[Condition]) -> str:
    """A line of Markdown for each way to draw; recipes of one system that differ have a line each."""
    lines = [_line(one) for condition in conditions for one in condition.drawings]
    return "\n".join(dict.fromkeys(line for line in lines if line))


def _line(cell: DrawingCell) -> str:
    if isinstance(cell.rival, Truth) or cell.source is None:
        return ""
    given = cell.rival.model_dump(mode="json")
    defaults = type(cell.rival)().model_dump(mode="json")
    leaves = [one for one in _leaves(given, defaults) if _counts(one[0], cell.rival)]
    own = [f"{name} {_value(value)}" for name, value, known in leaves if value == known]
    other = [f"{name} {_value(value)} ({_value(known)})" for name, value, known in leaves if value != known]
    parts = [f"from {_said(cell.source)}"]
    if not steps_of(cell.rival):
        parts.append("nothing is tuned on the subject")
    parts += [f"by default: {', '.join(own)}"] if own else []
    parts += [f"unlike its default (in brackets): {', '.join(other)}"] if other else []
    return f"- `{cell.system}`: {'; '.join(parts)}."


def _counts(name: str, rival: AnyRival) -> bool:
    """Whether the value has a part in what this rival does."""
    if not isinstance(rival, DreamBooth):
        return name != "tuning.train_text_encoder"
    prior = name.startswith("prior_") and name != "prior_pictures"
    return "lora" not in name and (rival.prior_pictures > 0 or not prior)


def _leaves(given: Mapping[str, Any], defaults: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Each value with the default."""
    for name, value in given.items():
        if name in _UNSAID:
            continue
        if isinstance(value, dict):
            yield from _leaves(value, defaults[name], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value, defaults[name]


def _value(value: object) -> str:
    if isinstance(value, list):
        return "+".join(map(str, value))
    return "none" if value in {"", None} else str(value)


def _said(source: Source) -> str:
    match source:
        case Packaged():
            return f"the packaged {source.name}"
        case Given():
            return f"a given model, {source.sha256[:12]}"
        case Taught():
            drawn = {"experts": "experts' drawings", "renders": "subjects' true renders"}[source.lessons.teacher]
            what = {"drawn": f"{source.clusters} {drawn}", "own": f"{source.clusters} raw clusters"}
            recipe = source.recipe
            return (
                f"the packaged {source.start.name}, trained on {what[source.targets]} for {recipe.steps} steps at "
                f"{recipe.learning_rate:g}, one training for each seed"
            )
