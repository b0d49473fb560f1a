"""The attention that is added to a base: from a picture being drawn to the features of its demonstrations.

Legend: N pictures, L query tokens, M demonstration tokens (all demonstrations of one subject in a row), D width, C
channels, H height, W width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention, AttnAddedKVProcessor2_0, AttnProcessor2_0
from torch import Tensor, nn


@dataclass(frozen=True)
class SubjectContext:
    """A subject as a network sees it: keys and values for every added attention, computed once, valid for all steps.

    Shapes: a pair of (S, heads, M, D / heads) for each layer name, S subjects; rows of pictures are spread over the
    subjects in order, N = S x targets.
    """

    keys: dict[str, Tensor]
    values: dict[str, Tensor]

    @property
    def subjects(self) -> int:
        """Number of subjects held."""
        return int(next(iter(self.keys.values())).shape[0])

    @property
    def size_bytes(self) -> int:
        """Memory that the keys and values take."""
        return sum(value.numel() * value.element_size() for value in (*self.keys.values(), *self.values.values()))

    @staticmethod
    def join(parts: Sequence["SubjectContext"]) -> "SubjectContext":
        """The subjects of all parts in order; each with as many demonstration tokens as the others."""
        first = parts[0]
        return SubjectContext(
            keys={name: torch.cat([part.keys[name] for part in parts]) for name in first.keys},
            values={name: torch.cat([part.values[name] for part in parts]) for name in first.values},
        )

    def select(self, index: Sequence[int] | Tensor) -> "SubjectContext":
        """The context with its subjects picked (and repeated) by index."""
        rows = torch.as_tensor(index)
        return SubjectContext(
            keys={name: value[rows] for name, value in self.keys.items()},
            values={name: value[rows] for name, value in self.values.items()},
        )


@dataclass(frozen=True)
class Attended:
    """What one forward pass attends to: a context, and which pictures may see it."""

    context: SubjectContext
    keep_N: Tensor | None = None  # in training: 1.0 sees the demonstrations, 0.0 does not; None: all do
    unseen: int = 0  # in drawing: so many rows at the front (guidance's free branches) cost no attention at all


class PlainProcessor(AttnProcessor2_0):
    """diffusers' own attention, which lets a subject pass by (every processor is handed the same arguments)."""

    def __call__(
        self, attn: Attention, hidden_states: Tensor, *args: Any, subject: Attended | None = None, **rest: Any
    ) -> Tensor:
        """Attend as diffusers does."""
        del subject
        return super().__call__(attn, hidden_states, *args, **rest)


class PlainJointProcessor(AttnAddedKVProcessor2_0):
    """DeepFloyd's attention to picture and text at once, which lets a subject pass by."""

    def __call__(
        self, attn: Attention, hidden_states: Tensor, *args: Any, subject: Attended | None = None, **rest: Any
    ) -> Tensor:
        """Attend as diffusers does."""
        del subject
        return super().__call__(attn, hidden_states, *args, **rest)


class SubjectAttention(nn.Module):
    """Attention to demonstrations through an output projection that starts at zero.

    Added to what a text attention answers; with the projection at zero the layer answers exactly as the base's own.
    """

    def __init__(self, *, name: str, query_width: int, feature_width: int, inner_width: int, heads: int) -> None:
        super().__init__()
        self.name = name
        self.heads = heads
        self.feature_norm = nn.LayerNorm(feature_width)
        self.to_q = nn.Linear(query_width, inner_width, bias=False)
        self.to_k = nn.Linear(feature_width, inner_width, bias=False)
        self.to_v = nn.Linear(feature_width, inner_width, bias=False)
        self.to_out = nn.Linear(inner_width, query_width)
        nn.init.zeros_(self.to_out.weight)
        nn.init.zeros_(self.to_out.bias)

    def keys_values(self, features_SMD: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of demonstration features. Shapes: (S, M, D) -> two of (S, heads, M, D / heads)."""
        normed_SMD = self.feature_norm(features_SMD)
        return self._heads(self.to_k(normed_SMD)), self._heads(self.to_v(normed_SMD))

    def forward(self, query_NLD: Tensor, subject: Attended) -> Tensor:
        """What the demonstrations answer to each query token; zero at the start. Shapes: (N, L, D) -> (N, L, D)."""
        keys, values = subject.context.keys[self.name], subject.context.values[self.name]
        pictures, tokens, _ = query_NLD.shape
        # Targets that share a subject sit side by side, so they attend as one long row of queries: keys are not copied.
        query = self._heads(self.to_q(query_NLD).reshape(subject.context.subjects, -1, self.to_q.out_features))
        mixed = F.scaled_dot_product_attention(query, keys, values)
        mixed_NLD = mixed.transpose(1, 2).reshape(pictures, tokens, -1)
        answer_NLD = self.to_out(mixed_NLD)
        return answer_NLD if subject.keep_N is None else answer_NLD * subject.keep_N.view(-1, 1, 1).to(answer_NLD.dtype)

    def _heads(self, x_SMD: Tensor) -> Tensor:
        subjects, tokens, width = x_SMD.shape
        return x_SMD.view(subjects, tokens, self.heads, width // self.heads).transpose(1, 2)


class SubjectProcessor:
    """Text attention as diffusers does it, plus what the demonstrations answer when a subject is given.

    It calls the added module without becoming its parent, so that every weight has one name in a checkpoint.
    """

    def __init__(self, added: SubjectAttention) -> None:
        self._added = added
        self._text = AttnProcessor2_0()

    def __call__(
        self, attn: Attention, hidden_states: Tensor, *args: Any, subject: Attended | None = None, **rest: Any
    ) -> Tensor:
        """Attend to the text, then to the demonstrations."""
        text_NLD = self._text(attn, hidden_states, *args, **rest)
        return text_NLD if subject is None else _answered(text_NLD, hidden_states, self._added, subject)


class SubjectJointProcessor:
    """The same for DeepFloyd's attention, which takes feature maps and norms them itself."""

    def __init__(self, added: SubjectAttention) -> None:
        self._added = added
        self._joint = AttnAddedKVProcessor2_0()

    def __call__(
        self, attn: Attention, hidden_states: Tensor, *args: Any, subject: Attended | None = None, **rest: Any
    ) -> Tensor:
        """Attend to picture and text, then to the demonstrations. Shapes: (N, C, H, W) -> (N, C, H, W)."""
        joint_NCHW = self._joint(attn, hidden_states, *args, **rest)
        if subject is None:
            return joint_NCHW
        norm = cast("nn.GroupNorm", attn.group_norm)
        query_NLD = norm(hidden_states.flatten(2)).transpose(1, 2)
        joint_NLD = joint_NCHW.flatten(2).transpose(1, 2)
        answer_NLD = _answered(joint_NLD, query_NLD, self._added, subject)
        return answer_NLD.transpose(1, 2).reshape(joint_NCHW.shape)


def _answered(text_NLD: Tensor, query_NLD: Tensor, added: SubjectAttention, subject: Attended) -> Tensor:
    """What the text answers, plus what the demonstrations answer to those rows that may see them."""
    if subject.unseen == 0:
        return text_NLD + added(query_NLD, subject)
    seen_NLD = text_NLD[subject.unseen :] + added(query_NLD[subject.unseen :], subject)
    return torch.cat([text_NLD[: subject.unseen], seen_NLD])
