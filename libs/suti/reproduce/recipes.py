"""What rivals are, in words for a page: each recipe's values, and where they differ from its paper's."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from suti.reproduce.conditions import Condition
from suti.reproduce.drawings import DrawingCell, Truth
from suti.reproduce.sources import Given, Packaged, Source, Taught

_UNSAID = frozenset({"rival", "sampling", "samples_per_prompt", "keep_experts"})  # what a rival's drawing does not use


def said_recipes(conditions: Sequence[Condition]) -> str:
    """A line of Markdown for each way to draw; recipes of one system that differ have a line each."""
    lines = [_line(one) for condition in conditions for one in condition.drawings]
    return "\n".join(dict.fromkeys(line for line in lines if line))


def _line(cell: DrawingCell) -> str:
    if isinstance(cell.rival, Truth) or cell.source is None:
        return ""
    given = cell.rival.model_dump(mode="json")
    paper = type(cell.rival)().model_dump(mode="json")
    own = [f"{name} {_value(value)}" for name, value, known in _leaves(given, paper) if value == known]
    other = [
        f"{name} {_value(value)} ({_value(known)})" for name, value, known in _leaves(given, paper) if value != known
    ]
    parts = [f"from {_said(cell.source)}", *([", ".join(own)] if own else [])]
    parts.append(f"other than its paper's (in brackets): {', '.join(other)}" if other else "all as its paper's")
    return f"- `{cell.system}`: {'; '.join(parts)}."


def _leaves(given: Mapping[str, Any], paper: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Each value with the paper's."""
    for name, value in given.items():
        if name in _UNSAID:
            continue
        if isinstance(value, dict):
            yield from _leaves(value, paper[name], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value, paper[name]


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
            what = {"drawn": f"{source.clusters} experts' drawings", "own": f"{source.clusters} raw clusters"}
            recipe = source.recipe
            return (
                f"the packaged {source.start.name}, trained on {what[source.targets]} for {recipe.steps} steps at "
                f"{recipe.learning_rate:g}, one training for each seed"
            )
