"""The few calls that launchers make, as plain JSON. Calls block; asyncio makes them through `asyncio.to_thread`.

The official client reads the kubeconfig (or the pod's service account, whose token it keeps fresh) and makes the
connections; its models of every Kubernetes type would only cost memory here.
"""

import json
import random
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self, cast
from urllib.parse import urlencode

import urllib3
from kubernetes import config
from kubernetes.client import Configuration
from kubernetes.client.rest import RESTClientObject
from urllib3.exceptions import HTTPError

from suti.infra.jobs.kubernetes.errors import ApiFault, KubernetesUnreachable

Object = dict[str, Any]

JSON, MERGE_PATCH, APPLY_PATCH = "application/json", "application/merge-patch+json", "application/apply-patch+yaml"

_CALL_S = 20.0
_TRIES = 5
_PAGE = 500
# The server sends a bookmark about every minute; who heard nothing for longer than this talks to nobody.
_SILENCE_S = 100.0
_WATCH_S = 300
_MOST_WAIT_S = 10.0


class KubernetesApi:
    """The API server, as one namespace's user. May be used by many threads at once."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._host = str(configuration.host).rstrip("/")
        pool: Any = RESTClientObject(configuration).pool_manager
        self._pool = cast("urllib3.PoolManager", pool)

    @classmethod
    def connect(cls, kubeconfig: Path | None = None) -> Self:
        """By the kubeconfig, else by the pod's service account. Does not touch the network yet.

        Raises:
            KubernetesUnreachable: there is neither.
        """
        configuration = Configuration()
        configuration.connection_pool_maxsize = 32
        configuration.retries = cast("Any", False)
        try:
            if kubeconfig is not None:
                config.load_kube_config(config_file=str(kubeconfig), client_configuration=configuration)
            else:
                config.load_incluster_config(client_configuration=configuration)
        except (config.ConfigException, OSError) as error:
            raise KubernetesUnreachable(
                f"no way into a cluster ({error}): give the launcher's pod a service account, or name a kubeconfig"
            ) from error
        return cls(configuration)

    def get(self, path: str, query: Mapping[str, str | int] | None = None) -> Object:
        """One object, or one page. Raises ApiFault."""
        return self._call("GET", path, query)

    def apply(self, path: str, body: Object, *, manager: str, dry_run: bool = False) -> Object:
        """Server-side apply: the object has these fields from now on, or with `dry_run` might have. Raises ApiFault."""
        query = {"fieldManager": manager, "fieldValidation": "Strict"} | ({"dryRun": "All"} if dry_run else {})
        return self._call("PATCH", path, query, body=body, content=APPLY_PATCH)

    def patch(self, path: str, body: Object, *, manager: str) -> Object:
        """Changes the named fields (merge patch). Raises ApiFault."""
        return self._call("PATCH", path, {"fieldManager": manager}, body=body, content=MERGE_PATCH)

    def delete(self, path: str, body: Object) -> Object:
        """Deletes, under the body's preconditions. Raises ApiFault."""
        return self._call("DELETE", path, None, body=body)

    def text(self, path: str, query: Mapping[str, str | int]) -> str:
        """What is no JSON: logs. Raises ApiFault."""
        return self._retried(lambda: self._once("GET", path, query).decode(errors="replace"))

    def pages(self, path: str, query: Mapping[str, str | int]) -> Iterator[tuple[list[Object], str]]:
        """All objects, some hundreds at a time, and the version of the whole list. Raises ApiFault.

        A page whose predecessor is too old to go on from is status 410: begin anew.
        """
        token: str | None = None
        while token is None or token:
            page = self._call("GET", path, {**query, "limit": _PAGE, **({"continue": token} if token else {})})
            metadata = page.get("metadata", {})
            yield page.get("items") or [], str(metadata.get("resourceVersion", ""))
            token = str(metadata.get("continue") or "")

    @contextmanager
    def watch(self, path: str, query: Mapping[str, str | int]) -> Generator["WatchStream"]:
        """Events from a version on, until the server ends it (a few minutes) or somebody closes the stream."""
        asked: dict[str, str | int] = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": _WATCH_S}
        response = self._send("GET", path, {**query, **asked}, None, JSON, stream=True)
        try:
            if response.status >= 300:
                raise _fault(response)
            yield WatchStream(response)
        finally:
            response.close()

    def close(self) -> None:
        """Lets go of all connections."""
        self._pool.clear()

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None,
        *,
        body: Object | None = None,
        content: str = JSON,
    ) -> Object:
        return self._retried(lambda: cast("Object", json.loads(self._once(method, path, query, body, content))))

    def _retried[T](self, call: Callable[[], T]) -> T:
        """Every call here is safe to repeat, so what passes is waited out, for some seconds."""
        for tried in range(1, _TRIES + 1):
            try:
                return call()
            except ApiFault as fault:
                if not fault.passing or tried == _TRIES:
                    raise
                wait_s = max(fault.retry_after_s, 0.2 * 2**tried * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                time.sleep(min(_MOST_WAIT_S, wait_s))
        raise AssertionError

    def _once(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None,
        body: Object | None = None,
        content: str = JSON,
    ) -> bytes:
        response = self._send(method, path, query, body, content, stream=False)
        if response.status >= 300:
            raise _fault(response)
        return response.data

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None,
        body: Object | None,
        content: str,
        *,
        stream: bool,
    ) -> urllib3.BaseHTTPResponse:
        headers = {"Accept": "application/json", "User-Agent": "suti"}
        if body is not None:
            headers["Content-Type"] = content
        auth: dict[str, Any] = dict(self._configuration.auth_settings())
        if (token := auth.get("BearerToken", {}).get("value")) is not None:
            headers["Authorization"] = str(token)
        timeout = urllib3.Timeout(connect=5.0, read=_SILENCE_S if stream else _CALL_S)
        try:
            return self._pool.request(
                method,
                f"{self._host}{path}" + (f"?{urlencode(query)}" if query else ""),
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=timeout,
                retries=False,
                preload_content=not stream,
            )
        except (HTTPError, OSError) as error:
            raise ApiFault(0, f"the API server at {self._host} does not answer ({error})") from error


class WatchStream:
    """The events of one watch."""

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        self._response = response

    def __iter__(self) -> Iterator[tuple[str, Object]]:
        """Type and object of each event, until the server ends the stream. Raises ApiFault."""
        rest = b""
        try:
            for chunk in self._response.stream(2**16):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in filter(None, lines):
                    event = json.loads(line)
                    yield str(event.get("type", "")), event.get("object") or {}
        except (HTTPError, OSError, ValueError) as error:
            raise ApiFault(0, f"the watch broke off ({error})") from error

    def close(self) -> None:
        """Ends the iteration, from another thread."""
        with suppress(Exception):
            cast("urllib3.HTTPResponse", self._response).shutdown()


def _fault(response: urllib3.BaseHTTPResponse) -> ApiFault:
    try:
        text = response.data.decode(errors="replace")
    except (HTTPError, OSError) as error:
        text = str(error)
    message, reason = text[:500], ""
    try:
        told = json.loads(text)
        if isinstance(told, dict):
            status = cast("Object", told)
            message, reason = str(status.get("message", message)), str(status.get("reason", ""))
    except ValueError:
        pass
    after = str(response.headers.get("Retry-After", ""))
    return ApiFault(response.status, message, reason=reason, retry_after_s=float(after) if after.isdigit() else 0.0)
