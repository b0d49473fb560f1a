"""How a client calls: deadlines, retries, limits, and who it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from suti.core.limits import MESSAGE_BYTES


@dataclass(frozen=True)
class Tls:
    """Certificates as PEM. Without `roots` the system's are trusted; `key` and `chain` show who the client is."""

    roots: bytes | None = None
    key: bytes | None = None
    chain: bytes | None = None
    server_name: str = ""  # where the certificate names another host than the address


@dataclass(frozen=True, kw_only=True)
class Options:
    """Defaults that suit one machine and a cluster alike."""

    timeout_s: float = 30.0  # a quick call, retries included
    drawing_timeout_s: float = 600.0  # a call that computes: generate, caption, score
    watch_timeout_s: float = 900.0  # one connection of a stream that is taken up again by itself
    attempts: int = 5  # tries of one call while a service is UNAVAILABLE, 1 to 5
    first_delay_s: float = 0.3  # before the second try; doubled after each, with jitter
    longest_delay_s: float = 5.0
    keepalive_s: float = 30.0  # a dead connection is noticed after this and ten seconds
    max_message_bytes: int = MESSAGE_BYTES
    tls: Tls | None = None
    allow_plaintext: bool = False  # to other hosts than this one; loopback is always allowed
    token: str | Callable[[], str] = ""  # bearer token, or what reads the present one
    metadata: Callable[[], Sequence[tuple[str, str]]] = tuple  # more for each call, e.g. a trace's context

    def call_metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes along with one call."""
        token = self.token() if callable(self.token) else self.token
        bearer = (("authorization", f"Bearer {token}"),) if token else ()
        return (*bearer, *self.metadata())
