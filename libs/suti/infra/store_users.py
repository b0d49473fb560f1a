"""Users of a MinIO server: made, or brought up to date, each with the policy of its service."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import urllib3
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException
from minio.minioadmin import MinioAdmin

from suti.core.errors import BadConfiguration
from suti.infra.rights import STORE, store_policy
from suti.infra.store import StoreRefused, StoreUnavailable

_CALL_TIMEOUT_S = 10.0
_OPTIONAL = {"probe", "crawls"}  # no services
_PAIR = re.compile(r"(?P<user>[a-z]+)-(?P<half>access|secret)-key")


class StoreKeysIncomplete(BadConfiguration):
    """A folder of keys lacks one of a pair, or all of a service."""

    reason: ClassVar[str] = "STORE_KEYS_INCOMPLETE"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """How a user signs in."""

    access_key: str
    secret_key: str


@dataclass(frozen=True, slots=True)
class Administrator:
    """Who may make users, and where."""

    endpoint: str  # http://host:port or https://host
    access_key: str
    secret_key: str
    region: str = "us-east-1"


def read_key_pairs(folder: Path) -> Mapping[str, KeyPair]:
    """The pairs in files `SERVICE-access-key` and `SERVICE-secret-key` (a mounted secret), by service.

    Raises:
        StoreKeysIncomplete: no folder, a service without keys, or half a pair.
    """
    found: dict[str, dict[str, str]] = {}
    try:
        for path in sorted(folder.iterdir()):
            if match := _PAIR.fullmatch(path.name):
                found.setdefault(match["user"], {})[match["half"]] = path.read_text().strip()
    except OSError as error:
        raise StoreKeysIncomplete(f"cannot read the keys in {folder} ({error.strerror}): mount the secret") from error
    needed = set(STORE) - _OPTIONAL | set(found)
    for user in sorted(needed):
        if set(found.get(user, {})) != {"access", "secret"}:
            raise StoreKeysIncomplete(f"{folder} has no whole pair for {user}: add {user}-access-key and -secret-key")
    return {user: KeyPair(pair["access"], pair["secret"]) for user, pair in found.items() if user in STORE}


def make_store_users(
    url: str, pairs: Mapping[str, KeyPair], administrator: Administrator, *, prefix: str = "suti"
) -> None:
    """Each service's user exists, with these keys and no right but those in `suti.infra.rights`. Safe to repeat.

    A server has one policy of a name: who shares it with another installation needs a `prefix` of one's own, and keys.

    Raises:
        StoreRefused: the administrator's keys are wrong, or the server is no MinIO.
        StoreUnavailable: no answer.
    """
    endpoint = administrator.endpoint
    at, place = urlsplit(endpoint), urlsplit(url)
    admin = MinioAdmin(
        endpoint=at.netloc,
        credentials=StaticProvider(administrator.access_key, administrator.secret_key),
        region=administrator.region,
        secure=at.scheme == "https",
        http_client=urllib3.PoolManager(timeout=_CALL_TIMEOUT_S, retries=urllib3.Retry(3, backoff_factor=0.2)),
    )
    for user, pair in pairs.items():
        try:
            policy = store_policy(STORE[user], bucket=place.netloc, prefix=place.path)
            admin.policy_add(f"{prefix}-{user}", policy=policy)
            admin.user_add(pair.access_key, pair.secret_key)
            admin.policy_set(f"{prefix}-{user}", user=pair.access_key)
        except MinioAdminException as error:
            if str(error).startswith("admin request failed; Status: 5"):
                raise StoreUnavailable(
                    f"{endpoint} failed to make the user {user} ({error}): safe to repeat"
                ) from error
            raise StoreRefused(
                f"{endpoint} refused to make the user {user} ({error}): check the admin keys; on a store that is no "
                "MinIO, make the users yourself (docs/security.md)"
            ) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise StoreUnavailable(f"{endpoint} did not answer ({error}): check that the server runs") from error
