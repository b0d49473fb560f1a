"""Texts as a base's UNet wants them: one CLIP (Stable Diffusion 1.5, the toy), two (SDXL), or T5 (DeepFloyd IF).

Legend: N texts, L text tokens, D width, P pooled width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, cast

import torch
from torch import Tensor, nn

_T5_TOKENS = 77  # DeepFloyd's own limit, whatever its tokenizer would take
SUPPORTED = frozenset({"CLIPTextModel", "CLIPTextModelWithProjection", "T5EncoderModel"})
_TOKENIZING = Lock()  # fast tokenizers refuse to be borrowed by two threads at once


@dataclass(frozen=True)
class TextEmbedding:
    """Texts, encoded.

    Shapes: hidden (N, L, D); a mask (N, L) for UNets that were trained with one (none of the known layouts was);
    `added`: SDXL's pooled texts (N, P) and time ids (N, 6).
    """

    hidden_NLD: Tensor
    mask_NL: Tensor | None = None
    added: dict[str, Tensor] | None = None

    def select(self, index: Sequence[int] | Tensor) -> "TextEmbedding":
        """The rows picked, and repeated, by index."""
        rows = torch.as_tensor(index, device=self.hidden_NLD.device)
        return TextEmbedding(
            hidden_NLD=self.hidden_NLD[rows],
            mask_NL=None if self.mask_NL is None else self.mask_NL[rows],
            added=None if self.added is None else {name: value[rows] for name, value in self.added.items()},
        )

    def to(self, device: torch.device) -> "TextEmbedding":
        """The same rows on a device."""
        return TextEmbedding(
            hidden_NLD=self.hidden_NLD.to(device),
            mask_NL=None if self.mask_NL is None else self.mask_NL.to(device),
            added=None if self.added is None else {name: value.to(device) for name, value in self.added.items()},
        )

    @staticmethod
    def join(parts: Sequence["TextEmbedding"]) -> "TextEmbedding":
        """One embedding with the rows of all parts, which come from one encoder."""
        first = parts[0]
        added = None
        if first.added is not None:
            added = {name: torch.cat([(part.added or {})[name] for part in parts]) for name in first.added}
        masks = [part.mask_NL for part in parts if part.mask_NL is not None]
        return TextEmbedding(
            hidden_NLD=torch.cat([part.hidden_NLD for part in parts]),
            mask_NL=torch.cat(masks) if masks else None,
            added=added,
        )


class TextEncoder(nn.Module):
    """A base's text encoders with their tokenizers. The empty text is what guidance pushes away from."""

    def __init__(
        self, models: Sequence[nn.Module], tokenizers: Sequence[Any], *, size_px: int, zero_empty: bool = False
    ) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)
        self.tokenizers = list(tokenizers)
        self.zero_empty = zero_empty  # SDXL: the empty text is all zeros, not an encoded ""
        self._size_px = size_px

    @torch.no_grad()
    def encode(self, texts: Sequence[str], *, batch: int = 1) -> TextEmbedding:
        """Each text's embedding, without gradients; texts beyond the model's length are cut.

        One text at a time by default, so that the bits of a row depend on its own text alone.
        """
        if not texts:
            raise ValueError("no text to encode: give at least one, it may be empty")
        return TextEmbedding.join([self(texts[start : start + batch]) for start in range(0, len(texts), batch)])

    def forward(self, texts: Sequence[str]) -> TextEmbedding:
        """The same with gradients, in one batch."""
        if len(self.models) == 1:
            return TextEmbedding(hidden_NLD=self._last_layer(texts))
        return self._two_clips(texts)

    def _last_layer(self, texts: Sequence[str]) -> Tensor:
        model = cast("Any", self.models[0])
        is_t5 = type(model).__name__ == "T5EncoderModel"
        if is_t5:
            texts = [text.lower().strip() for text in texts]  # as DeepFloyd was trained
        tokens = _tokenize(self.tokenizers[0], texts, _length(self.tokenizers[0], model))
        use_mask = is_t5 or bool(getattr(model.config, "use_attention_mask", False))
        mask_NL = tokens["attention_mask"].to(model.device) if use_mask else None
        return cast("Tensor", model(input_ids=tokens["input_ids"].to(model.device), attention_mask=mask_NL)[0])

    def _two_clips(self, texts: Sequence[str]) -> TextEmbedding:
        """SDXL: the last layer but one of both, side by side, and the pooled text of the second."""
        hidden: list[Tensor] = []
        pooled_NP = torch.empty(0)
        for tokenizer, module in zip(self.tokenizers, self.models, strict=True):
            model = cast("Any", module)
            tokens = _tokenize(tokenizer, texts, _length(tokenizer, model))
            answer = model(input_ids=tokens["input_ids"].to(model.device), output_hidden_states=True)
            hidden.append(answer.hidden_states[-2])
            pooled_NP = cast("Tensor", answer[0])
        hidden_NLD = torch.cat(hidden, dim=-1)
        if self.zero_empty:
            said_N = torch.tensor([float(text != "") for text in texts], device=hidden_NLD.device)
            hidden_NLD = hidden_NLD * said_N.view(-1, 1, 1).to(hidden_NLD.dtype)
            pooled_NP = pooled_NP * said_N.view(-1, 1).to(pooled_NP.dtype)
        size = self._size_px  # original size, crop, target size: the whole picture at the base's own size
        time_ids_N6 = pooled_NP.new_tensor([[size, size, 0, 0, size, size]]).repeat(len(texts), 1)
        return TextEmbedding(hidden_NLD=hidden_NLD, added={"text_embeds": pooled_NP, "time_ids": time_ids_N6})


def _length(tokenizer: Any, model: Any) -> int:
    if type(model).__name__ == "T5EncoderModel":
        return min(_T5_TOKENS, int(tokenizer.model_max_length))
    return min(int(model.config.max_position_embeddings), int(tokenizer.model_max_length))


def _tokenize(tokenizer: Any, texts: Sequence[str], length: int) -> dict[str, Tensor]:
    with _TOKENIZING:
        return tokenizer(list(texts), padding="max_length", max_length=length, truncation=True, return_tensors="pt")
