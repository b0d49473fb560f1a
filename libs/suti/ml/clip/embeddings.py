"""CLIP embeddings as bytes, so that a picture that was encoded once is never encoded again.

One safetensors file: a tensor per id, which is a picture's or a candidate's. Legend: D embedding width.
"""

from collections.abc import Sequence

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from suti.core.errors import PermanentError

PART = "embeddings.safetensors"  # the part's name in the commits of selection and filtering


class EmbeddingsUnreadable(PermanentError):
    """Bytes that should be embeddings are none, or lack a picture's."""

    reason = "EMBEDDINGS_UNREADABLE"
    grpc_code = "DATA_LOSS"


def embeddings_to_bytes(ids: Sequence[str], rows_ND: Tensor) -> bytes:
    """The rows by id. Equal rows make equal bytes, whatever their order.

    Shapes: N ids, (N, D) float32.
    """
    return safetensors.torch.save({name: row_D.clone() for name, row_D in zip(ids, rows_ND, strict=True)})


def embeddings_from_bytes(data: bytes) -> dict[str, Tensor]:
    """The rows by id, (D,) float32 each. Raises EmbeddingsUnreadable."""
    try:
        return safetensors.torch.load(data)
    except SafetensorError as error:
        raise EmbeddingsUnreadable(f"embeddings cannot be read ({error}): start a new run") from error


def rows_of(embeddings: dict[str, Tensor], ids: Sequence[str]) -> Tensor:
    """The rows of some ids, in their order, as (N, D). Raises EmbeddingsUnreadable where one is missing."""
    missing = [name for name in ids if name not in embeddings]
    if missing:
        raise EmbeddingsUnreadable(f"no embedding of {missing[0][:12]}: the commits are of different runs, start anew")
    return torch.stack([embeddings[name] for name in ids])
