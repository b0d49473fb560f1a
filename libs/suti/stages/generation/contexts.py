"""What a network needs to know of a subject, computed once: in memory as long as there is room, and in the store."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from suti.core import keys
from suti.infra.store import ObjectMissing, Store
from suti.ml.subject.attention import SubjectContext


@dataclass(frozen=True, slots=True)
class ContextKey:
    """Whose keys and values, for which weights."""

    model_sha256: str
    subject_digest: str


class ContextCache:
    """Keys and values by subject and model. Those used least lately leave the memory first; safe between threads."""

    def __init__(self, store: Store, *, max_bytes: int, device: str = "cpu") -> None:
        self._store = store
        self._device = device
        self._max_bytes = max_bytes
        self._held: OrderedDict[ContextKey, SubjectContext] = OrderedDict()
        self._held_bytes = 0
        self._lock = Lock()

    def get(self, key: ContextKey, encode: Callable[[], SubjectContext], *, subject_id: str = "") -> SubjectContext:
        """The context: from memory, else (registered subjects) from the store, else from `encode`, then kept."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        place = keys.subject(subject_id, f"contexts/{key.model_sha256}.safetensors") if subject_id else ""
        context = self._read(place, key) if place else None
        if context is None:
            context = encode()
            if place:
                self._store.put(place, _to_bytes(context, key))
        self._hold(key, context)
        return context

    def forget(self, subject_digest: str) -> None:
        """Nothing of that subject is in memory any more."""
        with self._lock:
            for key in [key for key in self._held if key.subject_digest == subject_digest]:
                self._held_bytes -= self._held.pop(key).size_bytes

    def _hold(self, key: ContextKey, context: SubjectContext) -> None:
        with self._lock:
            if key in self._held:
                return
            self._held[key] = context
            self._held_bytes += context.size_bytes
            while self._held_bytes > self._max_bytes and len(self._held) > 1:
                _, dropped = self._held.popitem(last=False)
                self._held_bytes -= dropped.size_bytes

    def _read(self, place: str, key: ContextKey) -> SubjectContext | None:
        try:
            tensors = load(self._store.get(place))
        except (ObjectMissing, SafetensorError):  # absent, or cut short: computed anew
            return None
        told = bytes(tensors.pop("subject_digest").tolist()).hex()
        if told != key.subject_digest:
            return None
        return SubjectContext(
            keys={name[2:]: value.to(self._device) for name, value in tensors.items() if name.startswith("k:")},
            values={name[2:]: value.to(self._device) for name, value in tensors.items() if name.startswith("v:")},
        )


def _to_bytes(context: SubjectContext, key: ContextKey) -> bytes:
    tensors = {f"k:{name}": value.detach().cpu().contiguous() for name, value in context.keys.items()}
    tensors |= {f"v:{name}": value.detach().cpu().contiguous() for name, value in context.values.items()}
    return save(tensors | {"subject_digest": torch.tensor(list(bytes.fromhex(key.subject_digest)), dtype=torch.uint8)})
