"""Captions from any image-to-text model of transformers: BLIP, GIT, encoder-decoder pairs, chat models that see."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, cast

import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor
from transformers import (
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
)

from suti.ml.model_files import ModelInvalid, ModelMissing, refuse_pickles

QUESTION = "Describe what this picture shows in one short sentence."


class TransformersCaptioner:
    """One model and its processors. Greedy, so that the same picture always gets the same caption."""

    def __init__(self, model: Any, *, processor: Any | None, pixels: Any, tokenizer: Any, max_tokens: int) -> None:
        self._model = model
        self._processor = processor  # None for encoder-decoder pairs, which have two halves instead
        self._pixels = pixels
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens

    @classmethod
    def load(cls, name_or_folder: str, *, device: str = "cpu", max_tokens: int = 77) -> Self:
        """Read a model from a folder or a hub, from safetensors alone.

        Raises:
            ModelMissing: no such folder or hub name, or the hub cannot be reached.
            ModelUnsafe: its weights are pickles alone.
            ModelInvalid: the folder holds no image-to-text model, or lacks a tensor or processor.
        """
        local = bool(name_or_folder) and Path(name_or_folder).is_dir()
        if local:
            refuse_pickles(Path(name_or_folder))
        elif not name_or_folder:
            raise ModelMissing("captioner_model is empty: name a folder or a hub model, or choose captioner 'tags'")
        kept: dict[str, Any] = {"local_files_only": local, "trust_remote_code": False}
        try:
            loaded = cast(
                "tuple[Any, dict[str, Any]]",
                AutoModelForImageTextToText.from_pretrained(
                    name_or_folder, use_safetensors=True, output_loading_info=True, dtype=torch.float32, **kept
                ),
            )
            model, report = loaded
            processor, pixels, tokenizer = _processors(name_or_folder, kept)
        except (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError, SafetensorError) as error:
            kind = ModelInvalid if local else ModelMissing
            raise kind(
                f"captioner {name_or_folder!r} cannot be loaded ({error}): check folder, name, network"
            ) from error
        broken = [*report.get("missing_keys", ()), *report.get("mismatched_keys", ())]
        if broken:
            raise ModelInvalid(f"captioner {name_or_folder!r}: tensor {broken[0]} is missing or of another shape")
        model = model.to(device).eval()
        return cls(model, processor=processor, pixels=pixels, tokenizer=tokenizer, max_tokens=max_tokens)

    @torch.inference_mode()
    def caption(self, pictures: Sequence[Image.Image]) -> list[str]:
        """One sentence for each picture, in order, cut at `max_tokens`."""
        if not pictures:
            return []
        inputs = self._inputs([picture.convert("RGB") for picture in pictures])
        inputs = {name: value.to(self._model.device) for name, value in inputs.items()}
        drawn: Tensor = self._model.generate(**inputs, max_new_tokens=self._max_tokens, do_sample=False, num_beams=1)
        if self._is_chat and "input_ids" in inputs:
            drawn = drawn[:, inputs["input_ids"].shape[1] :]  # chat models repeat the question first
        texts = cast("list[str]", self._tokenizer.batch_decode(drawn, skip_special_tokens=True))
        return [" ".join(text.split()) for text in texts]

    @property
    def _is_chat(self) -> bool:
        return bool(getattr(self._processor, "chat_template", None))

    def _inputs(self, pictures: list[Image.Image]) -> Mapping[str, Tensor]:
        if not self._is_chat:
            return cast("Mapping[str, Tensor]", self._pixels(images=pictures, return_tensors="pt"))
        content = [{"type": "image"}, {"type": "text", "text": QUESTION}]
        processor = cast(Any, self._processor)
        question = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        texts = [question] * len(pictures)
        # Left padding, so that every answer starts where its question ends.
        return cast(
            "Mapping[str, Tensor]",
            processor(
                images=[[picture] for picture in pictures],
                text=texts,
                padding=True,
                padding_side="left",
                return_tensors="pt",
            ),
        )


def _processors(name: str, kept: dict[str, Any]) -> tuple[Any | None, Any, Any]:
    """(whole processor or None, picture half, text half)."""
    processor: Any = AutoProcessor.from_pretrained(name, **kept)
    if hasattr(processor, "image_processor") and hasattr(processor, "tokenizer"):
        return processor, processor.image_processor, processor.tokenizer
    pixels: Any = AutoImageProcessor.from_pretrained(name, **kept)
    tokenizer: Any = AutoTokenizer.from_pretrained(name, **kept)
    return None, pixels, tokenizer
