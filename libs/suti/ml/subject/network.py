"""The apprentice's network: a base UNet plus subject attention (SuTI, section 5; the architecture of Re-Imagen).

Demonstrations (picture and caption) pass once through the base's own down blocks, noise-free at t = 0. Their features
at each resolution become keys and values of an attention added after each text attention of the down and up blocks.

Legend: S subjects, K demonstrations of each, N = S x targets pictures, C channels, H height, W width, D width,
M = K x h x w feature tokens of one resolution.
"""

from typing import Any, cast

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from suti.ml.diffusion.text import TextEmbedding
from suti.ml.subject.attention import (
    Attended,
    PlainJointProcessor,
    PlainProcessor,
    SubjectAttention,
    SubjectContext,
    SubjectJointProcessor,
    SubjectProcessor,
)


class SubjectUNet(nn.Module):
    """A base UNet that can look at demonstrations. New ones answer exactly as their base."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.unet = unet
        self.added = nn.ModuleDict()  # by layer name with dots as "/"; module dicts allow no dots
        self._block_of: dict[str, int] = {}
        self._install()

    def forward(
        self,
        noisy_NCHW: Tensor,
        t_N: Tensor,
        text: TextEmbedding,
        *,
        subject: SubjectContext | None = None,
        keep_N: Tensor | None = None,
        unseen: int = 0,
    ) -> Tensor:
        """What the base predicts, given demonstrations as well. Without them this is the base itself.

        In training `keep_N` says which pictures see the demonstrations; in drawing the first `unseen` rows do not.

        Shapes: (N, C, H, W), (N,), N texts, keep (N,) in {0, 1} -> (N, C, H, W).
        """
        attended = None if subject is None else Attended(subject, keep_N, unseen)
        answer = self.unet(
            noisy_NCHW,
            t_N,
            encoder_hidden_states=text.hidden_NLD,
            encoder_attention_mask=text.mask_NL,
            added_cond_kwargs=text.added,
            cross_attention_kwargs={"subject": attended},
            return_dict=False,
        )
        return cast("tuple[Tensor, ...]", answer)[0]

    def blocks(self) -> list[nn.Module]:
        """The base's blocks, by far the most of all weights; nobody reaches into one but by calling it.

        The added attentions are outside of them: their keys and values are made before the base is asked.
        """
        unet = cast("Any", self.unet)
        return [*unet.down_blocks, *([unet.mid_block] if unet.mid_block is not None else []), *unet.up_blocks]

    def encode(self, demonstrations_SKCHW: Tensor, captions: TextEmbedding) -> SubjectContext:
        """Keys and values of every added attention; they depend neither on noise nor on the step.

        Shapes: (S, K, C, H, W) in model space, S x K captions in the same order -> S subjects.
        """
        subjects = demonstrations_SKCHW.shape[0]
        tokens = [
            feature.flatten(2).transpose(1, 2).reshape(subjects, -1, feature.shape[1])
            for feature in self._down_features(demonstrations_SKCHW.flatten(0, 1), captions)
        ]  # (S, K x h x w, D) of each down block
        keys: dict[str, Tensor] = {}
        values: dict[str, Tensor] = {}
        for name, module in self.added.items():
            keys[name], values[name] = cast("SubjectAttention", module).keys_values(tokens[self._block_of[name]])
        return SubjectContext(keys=keys, values=values)

    def _down_features(self, x_BCHW: Tensor, text: TextEmbedding) -> list[Tensor]:
        """The last feature map of each down block before it halves its resolution, at t = 0."""
        unet = cast("Any", self.unet)
        added = text.added or {}
        t_B = torch.zeros(x_BCHW.shape[0], dtype=torch.long, device=x_BCHW.device)
        emb = unet.time_embedding(unet.get_time_embed(sample=x_BCHW, timestep=t_B))
        aug = unet.get_aug_embed(emb=emb, encoder_hidden_states=text.hidden_NLD, added_cond_kwargs=added)
        emb = emb if aug is None else emb + aug
        hidden_BLD = unet.process_encoder_hidden_states(encoder_hidden_states=text.hidden_NLD, added_cond_kwargs=added)
        mask = None
        if text.mask_NL is not None:  # as diffusers turns a mask into a bias
            mask = ((1 - text.mask_NL.to(x_BCHW.dtype)) * -10_000.0).unsqueeze(1)
        hidden = unet.conv_in(x_BCHW)
        features: list[Tensor] = []
        for block in unet.down_blocks:
            if getattr(block, "has_cross_attention", False):
                hidden, kept = block(
                    hidden_states=hidden, temb=emb, encoder_hidden_states=hidden_BLD, encoder_attention_mask=mask
                )
            else:
                hidden, kept = block(hidden_states=hidden, temb=emb)
            features.append(kept[-2] if block.downsamplers is not None else kept[-1])
        return features

    def _install(self) -> None:
        unet = cast("Any", self.unet)
        processors: dict[str, Any] = {}
        widths = [int(width) for width in unet.config.block_out_channels]
        for key in unet.attn_processors:
            layer = key.removesuffix(".processor")
            place, index = layer.split(".")[0], layer.split(".")[1]
            attention = unet.get_submodule(layer)
            joint = attention.added_kv_proj_dim is not None  # DeepFloyd: one attention to picture and text
            if place == "mid_block" or not (joint or layer.endswith("attn2")):
                processors[key] = PlainJointProcessor() if joint else PlainProcessor()
                continue
            block = int(index) if place == "down_blocks" else len(widths) - 1 - int(index)
            name = layer.replace(".", "/")
            module = SubjectAttention(
                name=name,
                query_width=int(attention.query_dim),
                feature_width=widths[block],
                inner_width=int(attention.inner_dim),
                heads=int(attention.heads),
            )
            self.added[name] = module
            self._block_of[name] = block
            processors[key] = SubjectJointProcessor(module) if joint else SubjectProcessor(module)
        unet.set_attn_processor(processors)
