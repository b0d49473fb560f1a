"""CLIP as the rest of Suti sees it: pictures and texts in, unit rows out.

Legend: N pictures or texts, C channels, H height, W width, D embedding width, B the fixed batch.
"""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch import Tensor, nn

from suti.ml.clip.files import ClipFiles, read_clip, save_clip

__all__ = ["ClipEncoder", "load_clip", "save_clip"]

Pictures = Sequence[Image.Image] | Tensor


class ClipEncoder:
    """Encodes pictures and texts with one CLIP, in batches of one fixed shape.

    The last batch is padded (its last row repeated, the copies thrown away), because a matrix product of another
    shape may round otherwise: with fixed shapes a picture's row is the same however the pictures were cut into shards.
    """

    def __init__(
        self, files: ClipFiles, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        self.digest = files.digest
        self.device = torch.device(device)
        self.dtype = dtype
        self.model: nn.Module = files.model.to(device=self.device, dtype=dtype).eval().requires_grad_(False)
        self.pictures_encoded = 0  # since the load; the bench's count of encodes per candidate
        self._tokenizer: Callable[[list[str]], Tensor] = files.tokenizer
        self._tokenizing = Lock()  # fast tokenizers refuse to be borrowed twice
        visual = cast(Any, self.model).visual
        settings = PreprocessCfg(**cast(dict[str, Any], visual.preprocess_cfg))
        self.picture_px: int = settings.size if isinstance(settings.size, int) else max(settings.size)
        self.picture_mean: tuple[float, ...] = tuple(settings.mean)  # the colour that preprocessing turns into 0
        self._preprocess = cast(Callable[[Image.Image], Tensor], image_transform_v2(settings, is_train=False))
        self.width = int(self.encode_texts([""], batch=1).shape[1])

    @torch.inference_mode()
    def encode_pictures(self, pictures: Pictures, *, batch: int = 64, pad: bool = True) -> Tensor:
        """Each picture's CLIP embedding, in order.

        `pictures` are PIL pictures of any size or one uint8 tensor. `pad=False` saves work for a few pictures and
        gives up the promise of equal bits (equal within float tolerance).

        Shapes: N pictures or (N, 3, H, W) -> (N, D) float32 on the CPU, rows of unit length.
        """
        prepared = [self._preprocess(picture) for picture in _as_pil(pictures)]
        self.pictures_encoded += len(prepared)
        encode = cast(Callable[[Tensor], Tensor], cast(Any, self.model).encode_image)
        return self._encode(encode, prepared, batch=batch, pad=pad, dtype=self.dtype)

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str], *, batch: int = 64, pad: bool = True) -> Tensor:
        """Each text's CLIP embedding, in order; texts beyond the context are cut.

        Shapes: N texts -> (N, D) float32 on the CPU, rows of unit length.
        """
        with self._tokenizing:
            tokens = list(self._tokenizer(list(texts))) if texts else []
        encode = cast(Callable[[Tensor], Tensor], cast(Any, self.model).encode_text)
        return self._encode(encode, tokens, batch=batch, pad=pad, dtype=None)

    def _encode(
        self,
        encode: Callable[[Tensor], Tensor],
        rows: list[Tensor],
        *,
        batch: int,
        pad: bool,
        dtype: torch.dtype | None,
    ) -> Tensor:
        if not rows:
            return torch.empty(0, self.width)
        encoded: list[Tensor] = []
        for start in range(0, len(rows), batch):
            stacked = torch.stack(rows[start : start + batch]).to(device=self.device, dtype=dtype)
            count = len(stacked)
            if pad and count < batch:
                last = stacked[-1:].expand(batch - count, *stacked.shape[1:])
                stacked = torch.cat([stacked, last])
            encoded.append(encode(stacked)[:count].float())
        return F.normalize(torch.cat(encoded), dim=-1).cpu()


def load_clip(
    name_or_folder: str, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> ClipEncoder:
    """A CLIP ready to encode: from a local folder in open_clip's layout, "ViT-L-14/openai", or "hf-hub:owner/name".

    Raises:
        ModelMissing, ModelUnsafe, ModelInvalid: see `suti.ml.clip.files.read_clip`.
    """
    return ClipEncoder(read_clip(name_or_folder), device=device, dtype=dtype)


def _as_pil(pictures: Pictures) -> Sequence[Image.Image]:
    if isinstance(pictures, Tensor):
        pixels_NHWC = cast("np.ndarray[Any, np.dtype[np.uint8]]", pictures.permute(0, 2, 3, 1).cpu().numpy())
        return [Image.fromarray(pixels_HWC) for pixels_HWC in pixels_NHWC]
    return pictures
