"""Where a run's shards were done under different software or processors, so that its digests may not come out again."""

from collections import defaultdict

from suti.core.records import Stage
from suti.infra.ledger import Commit, Ledger

_NONE = "none"


def differing_environments(ledger: Ledger) -> list[str]:
    """A warning for each stage whose shards differ in a version, a processor or a device from the stage's first one."""
    return [warning for stage in Stage if (warning := _differences(stage, ledger.commits(stage)))]


def _differences(stage: Stage, commits: list[Commit]) -> str:
    if not commits:
        return ""
    told = [_told(commit) for commit in commits]
    differing: dict[str, list[int]] = defaultdict(list)
    for name in sorted(set[str]().union(*told)):
        first = told[0].get(name, _NONE)
        differing[name] = [c.shard for c, one in zip(commits, told, strict=True) if one.get(name, _NONE) != first]
    words = [f"{name} ({len(shards)}, such as shard {shards[0]})" for name, shards in differing.items() if shards]
    if not words:
        return ""
    return (
        f"{stage}: not all of its {len(commits)} shards were done under one environment, so that the same run may end "
        f"otherwise: {', '.join(words)} differ from shard {commits[0].shard}"
    )


def _told(commit: Commit) -> dict[str, str]:
    device = {"device": commit.details["device"]} if "device" in commit.details else {}
    return {**commit.versions, **device}
