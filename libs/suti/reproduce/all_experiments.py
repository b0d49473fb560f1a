"""Every experiment of ours by its name, in the order in which they are run: those that others draw from first."""

from collections.abc import Callable, Mapping

from suti.reproduce.demonstrations import demonstrations
from suti.reproduce.dream_steps import dream_steps
from suti.reproduce.experiment import Experiment
from suti.reproduce.experts import experts
from suti.reproduce.gain import gain
from suti.reproduce.guidance import guidance
from suti.reproduce.samplers import samplers
from suti.reproduce.scale import Scale
from suti.reproduce.skills import skills
from suti.reproduce.table1 import table1

EXPERIMENTS: Mapping[str, Callable[[Scale], Experiment]] = {
    "table1": table1,
    "demonstrations": demonstrations,
    "guidance": guidance,
    "skills": skills,
    "gain": gain,
    "experts": experts,
    "dream-steps": dream_steps,
    "samplers": samplers,
}

# Those that measure one apprentice, whoever taught it; the others teach theirs.
OF_ANY_APPRENTICE = frozenset({"table1", "demonstrations", "guidance", "skills", "dream-steps"})
