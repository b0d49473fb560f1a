"""A text encoder with new words in it, whose embeddings are all that can be learnt.

Legend: N texts, L text tokens, V new words, D width.
"""

import copy
from collections.abc import Sequence
from typing import Any, cast

import torch
from tokenizers import AddedToken
from torch import Tensor, nn

from suti.core.errors import InvalidArgument
from suti.ml.diffusion.text import TextEncoder


class NewWords(nn.Module):
    """A table of embeddings that knows more words than the one it stands for, which it leaves as it is.

    Token ids from `first_id` on are the new words'.
    """

    def __init__(self, table: nn.Embedding, new_VD: Tensor, *, first_id: int) -> None:
        super().__init__()
        self.table = table
        self.new_VD = nn.Parameter(new_VD.clone())
        self._first_id = first_id

    def forward(self, ids_NL: Tensor) -> Tensor:
        """Shapes: (N, L) -> (N, L, D)."""
        is_new_NL = ids_NL >= self._first_id
        known_NLD = self.table(ids_NL.masked_fill(is_new_NL, 0))
        new_NLD = self.new_VD[(ids_NL - self._first_id).clamp(min=0)]
        return torch.where(is_new_NL.unsqueeze(-1), new_NLD, known_NLD)


def with_new_words(text: TextEncoder, words: Sequence[str], *, like: str) -> TextEncoder:
    """A copy of the encoder that knows these words as one token each, all beginning as what `like` means.

    `new_embeddings` are its own; every other weight is shared with the given encoder, which stays as it is.

    Raises:
        InvalidArgument: a word is known already, or `like` is empty.
    """
    shared = copy.deepcopy(text, memo={id(weight): weight for weight in text.parameters()})
    for place, (tokenizer, module) in enumerate(zip(text.tokenizers, text.models, strict=True)):
        own = copy.deepcopy(tokenizer)
        first_id = len(own)
        # A space before the word belongs to it, as it does to other words.
        if own.add_tokens([AddedToken(word, normalized=False, lstrip=True) for word in words]) != len(words):
            raise InvalidArgument("words", f"{list(words)} are known to the tokenizer already: choose others")
        shared.tokenizers[place] = own
        table = cast("Any", module).get_input_embeddings()
        meant: list[int] = tokenizer(like, add_special_tokens=False, padding=False)["input_ids"]
        if not meant:
            raise InvalidArgument("like", "is empty: name the class that the subject belongs to")
        mean_D = table.weight.detach()[meant].mean(dim=0)
        words_table = NewWords(table, mean_D.repeat(len(words), 1), first_id=first_id)
        cast("Any", shared.models[place]).set_input_embeddings(words_table)
    return shared


def new_embeddings(text: TextEncoder) -> list[nn.Parameter]:
    """What is learnt in such an encoder. Shapes: (V, D), one for each of its models."""
    return [module.new_VD for module in text.modules() if isinstance(module, NewWords)]
