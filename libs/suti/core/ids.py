"""Names of things. Ids come from content, so the same input has the same id on every machine and in every run."""

import hashlib
from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

from ulid import ULID

_DEFAULT_PORTS = {"http": 80, "https": 443}


def new_run_id() -> str:
    """A ULID (26 characters): sortable by time of creation."""
    return str(ULID())


def new_subject_id() -> str:
    """A ULID (26 characters) for a registered subject."""
    return str(ULID())


def new_request_id() -> str:
    """A UUID4 that makes one call safe to repeat."""
    return str(uuid4())


def canonical_url(url: str) -> str:
    """The URL without fragment, default port or upper-case host; what two spellings of one page have in common."""
    parts = urlsplit(url.strip())
    host = (parts.hostname or "").lower()
    if ":" in host:
        host = f"[{host}]"
    if parts.port is not None and parts.port != _DEFAULT_PORTS.get(parts.scheme.lower()):
        host = f"{host}:{parts.port}"
    return urlunsplit((parts.scheme.lower(), host, parts.path or "/", parts.query, ""))


def picture_id(source: bytes) -> str:
    """SHA-256 (hex) of a picture's bytes as they were crawled."""
    return hashlib.sha256(source).hexdigest()


def cluster_id(page_url: str, picture_ids: Iterable[str]) -> str:
    """SHA-256 (hex) over the canonical page URL and the sorted picture ids."""
    return _digest(canonical_url(page_url), *sorted(picture_ids))


def prompt_id(cluster: str, text: str) -> str:
    """SHA-256 (hex) over the cluster and the target prompt's text."""
    return _digest(cluster, text)


def candidate_id(cluster: str, prompt: str, sample: int) -> str:
    """SHA-256 (hex) over cluster, prompt id and the sample's 0-based number."""
    return _digest(cluster, prompt, str(sample))


def _digest(*parts: str) -> str:
    # A length before each part, so that ("ab", "c") and ("a", "bc") differ.
    joined = b"".join(len(raw).to_bytes(8, "big") + raw for raw in (part.encode("utf-8") for part in parts))
    return hashlib.sha256(joined).hexdigest()
