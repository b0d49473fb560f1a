"""Torch where it may be missing: services of which there are light installations ask here before they need it."""

from importlib.util import find_spec

from suti.core.errors import BadConfiguration


class TorchMissing(BadConfiguration):
    """A light installation is asked for work that needs torch."""

    reason = "TORCH_MISSING"


def has_torch() -> bool:
    """Whether torch is installed here. Does not import it."""
    return find_spec("torch") is not None


def require_torch(what: str, *, extra: str) -> None:
    """Does nothing where torch is installed; raises TorchMissing, which names what wants it and what to install."""
    if not has_torch():
        raise TorchMissing(f"{what} needs torch, which is not installed here: install suti[{extra}]")


def set_torch_threads(count: int) -> None:
    """Torch uses so many threads in this process from now on; nothing happens where torch is not installed."""
    if has_torch():
        import torch  # noqa: PLC0415 - slow, and not there in light installations

        torch.set_num_threads(count)
