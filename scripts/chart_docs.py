"""Writes charts/suti/values.schema.json and the values' table in its README from the comments in values.yaml.

    python scripts/chart_docs.py            writes both
    python scripts/chart_docs.py --check    fails if they are not what it would write

In values.yaml, `# -- text` before a key becomes its row in the README; `# @ {…}` is JSON Schema that is merged into
what its default says. Three words of our own in it: `definition` (others may have these keys), `component` and `jobs`
(this one has them). Which names a component's `settings` may have is read from its service's settings class.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

from suti.infra.settings import ServiceSettings
from suti_apprentice.settings import ApprenticeSettings
from suti_captioning.settings import CaptioningSettings
from suti_clustering.settings import ClusteringSettings
from suti_experts.settings import ExpertsSettings
from suti_filtering.settings import FilteringSettings
from suti_generation.settings import GenerationSettings
from suti_pipeline.settings import PipelineSettings

CHART = Path(__file__).parents[1] / "charts" / "suti"
MARK = "<!-- from here on: values.yaml, by `make chart` -->"
SETTINGS: dict[str, type[ServiceSettings]] = {
    "pipeline": PipelineSettings,
    "clustering": ClusteringSettings,
    "selection": ClusteringSettings,
    "captioning": CaptioningSettings,
    "experts": ExpertsSettings,
    "filtering": FilteringSettings,
    "apprentice": ApprenticeSettings,
    "generation": GenerationSettings,
}

_KEY = re.compile(r"( *)([A-Za-z][\w.-]*):(?: |$)")
_FREE = {"labels", "nodeSelector", "issuerRef"}  # maps with a default whose keys are anybody's
# Kubernetes says of a wrong one only in thousands of characters, and not whose it is.
_QUANTITY = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$"
_QUANTITIES = {
    "type": "object",
    "additionalProperties": {"type": ["string", "integer", "number"], "pattern": _QUANTITY},
}
_RESOURCES = {
    "type": "object",
    "properties": {"requests": _QUANTITIES, "limits": _QUANTITIES, "claims": {"type": "array"}},
    "additionalProperties": False,
}
_OWN = ("definition", "component", "jobs")

Schema = dict[str, Any]


@dataclass
class Value:
    """One key of values.yaml, with what stands above it."""

    path: tuple[str, ...]
    text: str
    hint: Schema
    default: Any
    children: list["Value"] = field(default_factory=list["Value"])


def main() -> int:
    """Writes, or with --check compares."""
    values = read_values(CHART / "values.yaml")
    wanted = {CHART / "values.schema.json": schema_text(values), CHART / "README.md": readme_text(values)}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv:
        for path in stale:
            sys.stderr.write(f"{path} is not what values.yaml says: run `make chart`\n")
        return 1 if stale else 0
    for path in stale:
        path.write_text(wanted[path])
    return 0


def read_values(path: Path) -> list[Value]:
    """The top-level keys, each with those below it."""
    text = path.read_text()
    tops: list[Value] = []
    stack: list[tuple[int, Value]] = []
    comment: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        match = _KEY.match(line)
        if stripped.startswith("#"):
            comment.append(stripped.removeprefix("#").removeprefix(" "))
        elif match:
            indent = len(match[1])
            while stack and stack[-1][0] >= indent:
                stack.pop()
            parent = stack[-1][1] if stack else None
            value = _value((*parent.path, match[2]) if parent else (match[2],), comment, yaml.safe_load(text))
            (parent.children if parent else tops).append(value)
            stack.append((indent, value))
            comment = []
        else:
            comment = []
    return tops


def _value(path: tuple[str, ...], comment: list[str], whole: Any) -> Value:
    default = whole
    for step in path:
        default = default[step]
    hints = [json.loads(line.removeprefix("@ ")) for line in comment if line.startswith("@ ")]
    words = [line for line in comment if not line.startswith("@ ")]
    start = next((number for number, line in enumerate(words) if line.startswith("-- ")), len(words))
    text = " ".join(words[start:]).removeprefix("-- ")
    return Value(path, text, {name: part for hint in hints for name, part in hint.items()}, default)


def schema_text(values: list[Value]) -> str:
    """values.schema.json."""
    shared = {
        cast("str", value.hint["definition"]): _object(value, {}) for value in values if "definition" in value.hint
    }
    shared["component"]["properties"]["settings"] = _settings(*SETTINGS.values())  # who does not know one ignores it
    definitions: Schema = {
        **shared,
        "resources": _RESOURCES,
        "accelerator": _strict(
            device={"type": "string"},
            resource={"type": "string"},
            count={"type": "integer", "minimum": 1},
            nodeSelector={"type": "object"},
            tolerations={"type": "array", "items": {"type": "object"}},
        ),
        "keda": _strict(
            enabled={"type": "boolean"},
            minReplicas={"type": "integer", "minimum": 0},
            maxReplicas={"type": "integer", "minimum": 1},
            ticketsPerReplica={"type": "integer", "minimum": 1},
            monitoringEndpoint={"type": "string"},
        ),
    }
    properties: Schema = {value.path[0]: _schema(value, shared) for value in values}
    for old in renamed():
        _let_through(properties, old.split("."))
    whole: Schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the Suti chart",
        "type": "object",
        "properties": {**properties, "global": {"type": "object"}},
        "additionalProperties": False,
        "definitions": definitions,
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def renamed() -> list[str]:
    """Old names of values, which a template answers with the new one."""
    text = (CHART / "templates" / "_renamed.tpl").read_text()
    return list(yaml.safe_load(text.split('"suti.renamed" -}}')[1].split("{{- end }}")[0]))


def _let_through(properties: Schema, path: list[str]) -> None:
    if len(path) > 1:
        _let_through(properties[path[0]]["properties"], path[1:])
    else:
        properties[path[0]] = {"description": "Renamed: the chart says how it is called now."}


def _schema(value: Value, shared: Schema) -> Schema:
    hint = {name: part for name, part in value.hint.items() if name not in _OWN}
    kind = value.hint.get("definition") or ("jobs" if "jobs" in value.hint else value.path[-1])
    if "$ref" in hint:
        return hint
    if kind in {*shared, "resources"}:
        return {"$ref": f"#/definitions/{kind}"}
    if "component" in value.hint:
        own = {"settings": _settings(SETTINGS[value.path[0]])}
        return _object(value, shared, inherited=shared["component"]["properties"] | own)
    if isinstance(value.default, dict):
        open_map = not value.children or value.path[-1] in _FREE or "additionalProperties" in hint
        return {"type": "object", **hint} if open_map else _object(value, shared) | hint
    return _scalar(value) | hint


def _object(value: Value, shared: Schema, inherited: Schema | None = None) -> Schema:
    return _strict(**(inherited or {}) | {child.path[-1]: _schema(child, shared) for child in value.children})


def _settings(*kinds: type[ServiceSettings]) -> Schema:
    return _strict(**{name.upper(): {} for name in sorted({name for kind in kinds for name in kind.model_fields})})


def _strict(**properties: Any) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _scalar(value: Value) -> Schema:
    told: Schema = {"description": value.text} if value.text else {}
    if isinstance(value.default, list):
        return {**told, "type": "array", "items": {"type": "object"}}
    kind = {bool: "boolean", int: "integer", float: "number", str: "string"}[type(value.default)]
    return {**told, "type": kind}


def readme_text(values: list[Value]) -> str:
    """The README: what stands before the mark, and the tables."""
    path = CHART / "README.md"
    head = path.read_text().split(MARK)[0] if path.exists() else "# suti\n\n"
    lines = [MARK, ""]
    for value in values:
        rows = list(_rows(value))
        lines += [f"### {value.path[0]}", ""]
        if value.text and len(rows) > 1:
            lines += [value.text, ""]
        lines += ["| Value | Default | |", "|---|---|---|", *rows, ""]
    return head + "\n".join(lines)


def _rows(value: Value) -> Iterator[str]:
    closed = "additionalProperties" in value.hint or value.path[-1] in {"resources", *_FREE}
    if value.children and not closed:
        for child in value.children:
            yield from _rows(child)
    else:
        default = json.dumps(value.default, ensure_ascii=False).replace("|", "\\|")
        yield f"| `{'.'.join(value.path)}` | `{default}` | {value.text.replace('|', chr(92) + '|')} |"


if __name__ == "__main__":
    sys.exit(main())
