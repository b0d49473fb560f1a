"""Where random numbers come from: a hash of what they are for, never of worker, order or time."""

import hashlib


def derive_seed(run_seed: int, stage: str, *parts: str | int) -> int:
    """A seed in [0, 2**63) for one purpose, the same on every machine and in every order of work.

    `parts` name the purpose, from coarse to fine: cluster, prompt, sample.
    """
    text = "\x1f".join([str(run_seed), stage, *(str(part) for part in parts)])
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:8], "big") >> 1
