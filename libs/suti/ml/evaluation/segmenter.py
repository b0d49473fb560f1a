"""Masks by a model of transformers that finds what a word names: CLIPSeg, by name or from a folder.

Lüddecke and Ecker, "Image Segmentation Using Text and Image Prompts", CVPR 2022; `CIDAS/clipseg-rd64-refined`.
"""

from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image

from suti.ml.diffusion.parts import quiet
from suti.ml.evaluation.published import published_folder
from suti.ml.model_files import ModelInvalid, folder_digest, refuse_pickles

_MORE_LIKELY_THAN_NOT = 0.5


class TextSegmenter:
    """Finds the subject by its class word."""

    def __init__(self, folder: Path, *, device: str | torch.device = "cpu") -> None:
        from transformers import CLIPSegForImageSegmentation, CLIPSegProcessor  # noqa: PLC0415 - seconds to import

        refuse_pickles(folder)
        self.digest = folder_digest(folder)
        self._device = torch.device(device)
        try:
            with quiet():
                self._processor = cast(Any, CLIPSegProcessor).from_pretrained(folder)
                model = cast(Any, CLIPSegForImageSegmentation).from_pretrained(folder, use_safetensors=True)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise ModelInvalid(
                f"{folder} holds no CLIPSeg ({error}): copy it anew, with its processor's files"
            ) from error
        self._model: Any = model.to(self._device).float().eval().requires_grad_(False)

    @torch.inference_mode()
    def __call__(self, picture: Image.Image, class_word: str) -> Image.Image:
        """Where the word's thing is: mode L, the picture's size, 255 where it more likely is than not."""
        inputs = self._processor(text=[class_word], images=[picture.convert("RGB")], return_tensors="pt")
        logits_HW = self._model(**inputs.to(self._device)).logits.reshape(inputs["pixel_values"].shape[-2:])
        likely_HW = (torch.sigmoid(logits_HW.float()) > _MORE_LIKELY_THAN_NOT).to(torch.uint8).mul(255).cpu().numpy()
        return Image.fromarray(likely_HW).resize(picture.size, Image.Resampling.NEAREST)


def load_segmenter(name_or_folder: str, *, device: str | torch.device = "cpu") -> TextSegmenter:
    """A segmenter from a folder, or by a published name such as "CIDAS/clipseg-rd64-refined".

    Raises:
        ModelMissing, ModelUnsafe, ModelInvalid: there is none, its weights are pickles, or it cannot be read.
    """
    return TextSegmenter(published_folder(name_or_folder), device=device)
