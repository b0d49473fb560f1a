"""Where things came from and what became of them, both ways: a graph from source URLs to generated pictures."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What a node is."""

    PICTURE = "picture"  # generated
    SUBJECT = "subject"
    CHECKPOINT = "checkpoint"
    EXAMPLE = "example"
    VERDICT = "verdict"
    CANDIDATE = "candidate"
    EXPERT = "expert"
    PROMPT = "prompt"
    CLUSTER = "cluster"
    SOURCE = "source"
    RUN = "run"


@dataclass(frozen=True, slots=True)
class Node:
    """One thing. `id` is its kind, a colon, and its own name; what one run made of a thing has the run in between."""

    id: str
    kind: Kind
    run_id: str = ""
    facts: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Answer:
    """A part of the graph, the things asked about first; `edges` are (later, earlier)."""

    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str], ...]
    truncated: bool


class ProvenanceGraph:
    """Things and what they came from. Grows by `add`; equal things are one."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self._origins: dict[str, dict[str, None]] = {}  # dictionaries, for they keep their order
        self._results: dict[str, dict[str, None]] = {}

    def add(self, node: Node, *, origins: Iterable[str] = ()) -> None:
        """The thing, and what it came from. What was added before keeps its facts and gains new ones."""
        known = self.nodes.get(node.id)
        self.nodes[node.id] = (
            node if known is None else Node(node.id, node.kind, node.run_id, {**known.facts, **node.facts})
        )
        for origin in origins:
            self._origins.setdefault(node.id, {})[origin] = None
            self._results.setdefault(origin, {})[node.id] = None

    def follow(self, starts: Iterable[str], *, forward: bool, max_nodes: int) -> Answer:
        """Everything that is reached from the starts, nearest first, but no more than `max_nodes` things."""
        ways = self._results if forward else self._origins
        reached = dict.fromkeys(name for name in starts if name in self.nodes)
        waiting = deque(reached)
        edges: dict[tuple[str, str], None] = {}
        truncated = False
        while waiting:
            name = waiting.popleft()
            for other in ways.get(name, {}):
                if other not in self.nodes:
                    continue
                if other not in reached:
                    if len(reached) >= max_nodes:
                        truncated = True
                        continue
                    reached[other] = None
                    waiting.append(other)
                edges[(other, name) if forward else (name, other)] = None
        return Answer(nodes=tuple(self.nodes[name] for name in reached), edges=tuple(edges), truncated=truncated)


def node_id(kind: Kind, *names: str) -> str:
    """The id of a thing of that kind."""
    return ":".join((kind.value, *names))
