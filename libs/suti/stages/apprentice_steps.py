"""Where an unfinished training could go on from, told by the names of its checkpoints alone. No torch here."""

from suti.core import keys
from suti.core.records import Stage
from suti.infra.store import Store

STATE_SUFFIX = ".safetensors"


def marked_steps(store: Store, prefix: str) -> list[int]:
    """The steps of all checkpoints below a prefix, ascending."""
    names = [info.key.rsplit("/", maxsplit=1)[-1] for info in store.list(prefix)]
    return sorted(int(name.removesuffix(STATE_SUFFIX)) for name in names if name.endswith(STATE_SUFFIX))


def resumable_step(store: Store, run_id: str) -> int:
    """The step of the run's latest checkpoint, 0 without one."""
    return max(marked_steps(store, keys.scratch(run_id, Stage.APPRENTICE, 0, "")), default=0)
