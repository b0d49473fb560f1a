"""An attention of many experts at once: what reads the same rows is one product.

Legend: M pictures of all experts, L rows of a picture, S rows that are looked at, C and D channels.
"""

from typing import cast

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from suti.ml.experts.stacked_layers import StackedLinear, StackedLinears

_FUSED = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


class StackedAttention(nn.Module):
    """Keys and values, and queries where they look at their own rows, come from one product; masks are not known."""

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.attention = attention
        self._across = bool(attention.is_cross_attention)
        names = ("to_k", "to_v") if self._across else ("to_q", "to_k", "to_v")
        self._beside = StackedLinears([cast("StackedLinear", attention.get_submodule(name)) for name in names])

    def forward(
        self,
        rows_MLC: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **more: object,
    ) -> Tensor:
        """As diffusers' own. Shapes: (M, L, C), (M, S, D) -> (M, L, C)."""
        seen_MSD = encoder_hidden_states
        if attention_mask is not None or self._across != (seen_MSD is not None):
            return self.attention(rows_MLC, seen_MSD, attention_mask, **more)
        if seen_MSD is None:
            query, key, value = self._beside(rows_MLC)
        else:
            query = self.attention.get_submodule("to_q")(rows_MLC)
            key, value = self._beside(seen_MSD)
        found_MLC = _attend(query, key, value, int(self.attention.heads))
        for layer in self.attention.get_submodule("to_out").children():
            found_MLC = layer(found_MLC)
        return found_MLC


def can_be_stacked(module: nn.Module) -> bool:
    """Whether a module is an attention of the plain kind whose projections are stacked."""
    if not isinstance(module, Attention):
        return False
    norms = (module.spatial_norm, module.group_norm, module.norm_q, module.norm_k, module.norm_cross or None)
    return (
        type(cast("object", module.processor)) is AttnProcessor2_0
        and all(isinstance(layer, StackedLinear) for layer in (module.to_q, module.to_k, module.to_v))
        and all(norm is None for norm in norms)
        and not module.residual_connection
        and module.rescale_output_factor == 1
    )


def _attend(query_MLC: Tensor, key_MSC: Tensor, value_MSC: Tensor, heads: int) -> Tensor:
    """In float32 on a processor: torch's fused attention goes back through bfloat16 up to ten times as slowly."""
    dtype, device = query_MLC.dtype, query_MLC.device.type
    exact = device == "cpu"
    parts = [one.unflatten(-1, (heads, -1)).transpose(1, 2) for one in (query_MLC, key_MSC, value_MSC)]
    with torch.autocast(device, enabled=torch.is_autocast_enabled(device) and not exact), sdpa_kernel(_FUSED):
        query, key, value = (one.float() if exact else one for one in parts)
        found = nn.functional.scaled_dot_product_attention(query, key, value)
    return found.transpose(1, 2).flatten(2).to(dtype)
