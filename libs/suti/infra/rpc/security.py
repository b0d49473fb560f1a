"""Who may listen and call in plaintext, who needs a certificate, who needs a token."""

import hmac
import ipaddress
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import grpc

from suti.core.errors import BadConfiguration, PermanentError

_log = logging.getLogger(__name__)


class PlaintextRefused(BadConfiguration):
    """Plaintext would leave this machine, and nobody said that it may."""

    reason: ClassVar[str] = "PLAINTEXT_REFUSED"


class TlsUnreadable(BadConfiguration):
    """A certificate or key cannot be read, or one of a pair is missing."""

    reason: ClassVar[str] = "TLS_UNREADABLE"


class TokenRefused(PermanentError):
    """A call came without a token, or with one that is not known."""

    reason: ClassVar[str] = "TOKEN_REFUSED"
    grpc_code = "UNAUTHENTICATED"


@dataclass(frozen=True)
class ServerSecurity:
    """How a server protects itself. As it stands: plaintext on loopback, no tokens.

    With `renewed` each connection is met with the certificate, key and authority that stand there then: who renews
    them (cert-manager in its secret) need not restart the server. What cannot be read leaves the last ones in use.
    """

    certificate: bytes | None = None  # PEM, as are the next two
    key: bytes | None = None
    client_ca: bytes | None = None  # set: clients must show a certificate of it
    tokens: frozenset[str] = frozenset()  # empty: anybody may call
    allow_plaintext: bool = False  # on other addresses than loopback
    renewed: "Callable[[], ServerSecurity] | None" = None  # reads them anew

    @classmethod
    def read(
        cls, *, certificate: Path | None, key: Path | None, client_ca: Path | None, tokens: str, allow_plaintext: bool
    ) -> Self:
        """The same from files; `tokens` separated by commas. Raises TlsUnreadable."""
        if (certificate is None) != (key is None) or (client_ca is not None and certificate is None):
            raise TlsUnreadable("certificate and key come together: set both, or neither")
        read = lambda: ServerSecurity(_read(certificate), _read(key), _read(client_ca))  # noqa: E731
        now = read()
        return cls(
            certificate=now.certificate,
            key=now.key,
            client_ca=now.client_ca,
            tokens=frozenset(token.strip() for token in tokens.split(",") if token.strip()),
            allow_plaintext=allow_plaintext,
            renewed=None if certificate is None else read,
        )

    def credentials(self, address: str) -> grpc.ServerCredentials | None:
        """What to listen with at that address; None for plaintext. Raises PlaintextRefused."""
        if self.certificate is not None and self.key is not None:
            return grpc.dynamic_ssl_server_credentials(
                _configuration(self),
                _Renewing(self),  # pyright: ignore[reportArgumentType]  # may return None; grpc's types do not say so
                require_client_authentication=self.client_ca is not None,
            )
        if not (self.allow_plaintext or is_loopback(address)):
            raise PlaintextRefused(
                f"{address} can be reached from elsewhere and there is no TLS: set certificate and key, "
                "listen on 127.0.0.1, or allow plaintext"
            )
        return None

    def check_token(self, metadata: Mapping[str, str | bytes]) -> None:
        """Raises TokenRefused unless the call carries one of the tokens (or none is asked for)."""
        if not self.tokens:
            return
        shown = str(metadata.get("authorization", "")).removeprefix("Bearer ").encode()
        known = [hmac.compare_digest(shown, token.encode()) for token in self.tokens]  # no early end: constant time
        if not any(known):
            raise TokenRefused("no token, or an unknown one: send metadata `authorization: Bearer TOKEN`")


class _Renewing:
    """What gRPC asks at each handshake: the new configuration, None while it is the old one."""

    def __init__(self, first: ServerSecurity) -> None:
        self._renewed = first.renewed
        self._known = _pem(first)

    def __call__(self) -> grpc.ServerCertificateConfiguration | None:
        if self._renewed is None:
            return None
        try:
            now = self._renewed()
            if _pem(now) == self._known:
                return None
            made = _configuration(now)
        except Exception as error:  # noqa: BLE001 - whatever stands there: the certificate in use still serves
            _log.warning("the certificate cannot be renewed, the last one stays in use: %s", error)
            return None
        self._known = _pem(now)
        _log.info("the certificate was renewed")
        return made


def _pem(security: ServerSecurity) -> tuple[bytes | None, ...]:
    return security.certificate, security.key, security.client_ca


def _configuration(security: ServerSecurity) -> grpc.ServerCertificateConfiguration:
    pair = (security.key or b"", security.certificate or b"")
    return grpc.ssl_server_certificate_configuration([pair], root_certificates=security.client_ca)


@dataclass(frozen=True)
class ChannelSecurity:
    """How a caller trusts and is trusted. As it stands: plaintext, to loopback alone."""

    tls: bool = False
    ca: bytes | None = None  # PEM; None with tls: the system's authorities
    certificate: bytes | None = None  # PEM, for mTLS
    key: bytes | None = None
    token: str | None = None
    allow_plaintext: bool = False

    def credentials(self, target: str) -> grpc.ChannelCredentials | None:
        """What to call that target with; None for plaintext. Raises PlaintextRefused."""
        if self.tls or self.ca is not None:
            return grpc.ssl_channel_credentials(self.ca, self.key, self.certificate)
        if not (self.allow_plaintext or is_loopback(target)):
            raise PlaintextRefused(f"{target} is not on this machine: use TLS, or allow plaintext")
        return None


def is_loopback(address: str) -> bool:
    """Whether `host:port` (or a unix: path) cannot be reached from another machine."""
    if address.startswith("unix:"):
        return True
    host = address.rsplit("/", maxsplit=1)[-1].rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise TlsUnreadable(f"cannot read {path} ({error.strerror}): correct its path or its rights") from error
