"""A release of the chart as it stands in a cluster, and a pod beside it that calls its services."""

import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.charts.rendering import CHART, COMPONENTS
from tests.cluster.release.kube import Kube, Object, Refused
from tests.servers.certificates import sign

VALUES = Path(__file__).with_name("values.yaml")
NAME = "suti"
CLIENT = "client"
GENERATED = tuple(f"{NAME}-{secret}" for secret in ("tokens", "store-users", "nats-users", "minio-root"))
READY_S = 600.0  # two cores import torch for four pods


@dataclass
class Release:
    """The chart, installed as `suti` in a namespace of its own that enforces the restricted level."""

    kube: Kube
    settings: dict[str, str]
    folder: Path
    chart: Path = CHART

    def install(self) -> None:
        """Everything is ready from now on. Raises Refused."""
        names = [f"{NAME}-{component}" for component in COMPONENTS]
        names += [f"{name}.{self.kube.namespace}.svc" for name in names]
        sign(self.folder, [f"DNS:{name}" for name in (*names, "localhost")])
        files = [f"--from-file={name}={self.folder / name}" for name in ("tls.crt", "tls.key", "ca.crt")]
        self.kube.kubectl("create", "secret", "generic", "suti-tls", *files)
        self._helm("install")

    def upgrade(self, **settings: str) -> None:
        """The release has these values as well, and everything is ready again."""
        self.upgrade_to(self.chart, {name.replace("__", "."): value for name, value in settings.items()})

    def upgrade_to(self, chart: Path, settings: Mapping[str, str]) -> None:
        """The release is of this chart, has these values as well, and everything is ready again."""
        self.chart = chart
        self.settings |= settings
        self._helm("upgrade")

    def _helm(self, verb: str) -> None:
        told = [word for name, value in self.settings.items() for word in ("--set", f"{name}={value}")]
        limit = f"{READY_S:.0f}s"
        self.kube.helm(verb, NAME, str(self.chart), "--values", str(VALUES), *told, "--wait", "--timeout", limit)

    def start_client(self) -> None:
        """A pod with the `suti` command, the token and the certificate, which the services' policies let in."""
        self.kube.kubectl("apply", "-f", "-", stdin=json.dumps(self._client()))
        self.kube.kubectl("wait", "--for=condition=Ready", f"pod/{CLIENT}", "--timeout=120s")

    def suti(
        self, component: str, *arguments: str, environment: Mapping[str, str] | None = None, limit_s: float = 300.0
    ) -> str:
        """What `suti ARGUMENTS` prints in that pod, of the service of a component. Raises Refused."""
        told = {"SUTI_SERVER": f"{NAME}-{component}:50051", **(environment or {})}
        words = [f"{name}={value}" for name, value in told.items()]
        command = ("/usr/bin/env", *words, "python", "-m", "suti.cli.main", *arguments)
        return self.kube.kubectl("exec", CLIENT, "--", *command, limit_s=limit_s)

    def in_client(self, program: str, *arguments: str, limit_s: float = 300.0) -> str:
        """What a Python program prints in that pod."""
        return self.kube.kubectl("exec", "-i", CLIENT, "--", "python", "-", *arguments, stdin=program, limit_s=limit_s)

    def read_in_client(self, path: str) -> bytes:
        """A file of that pod."""
        return base64.b64decode(self.kube.kubectl("exec", CLIENT, "--", "base64", path))

    def write_in_client(self, path: str, data: bytes) -> None:
        """A file of that pod."""
        text = base64.b64encode(data).decode()
        self.kube.kubectl("exec", "-i", CLIENT, "--", "/bin/sh", "-c", f"base64 -d > {path}", stdin=text)

    def image(self, kind: str) -> str:
        """The name of an image of this release."""
        return f"{self.settings['image.registry']}/suti-{kind}:{self.settings['image.tag']}"

    def _client(self) -> Object:
        security: Object = {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        environment: list[Object] = [
            {"name": f"SUTI_TLS_{name}", "value": f"/tls/{file}"}
            for name, file in (("CA", "ca.crt"), ("CERT", "tls.crt"), ("KEY", "tls.key"))
        ]
        token = {"secretKeyRef": {"name": f"{NAME}-tokens", "key": "tokens"}}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": CLIENT, "labels": {"suti.dev/client": "true"}},
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "automountServiceAccountToken": False,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 10001,
                    "fsGroup": 10001,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [
                    {
                        "name": CLIENT,
                        "image": self.image("models"),
                        "command": ["python", "-c", "import signal; signal.pause()"],
                        "env": [*environment, {"name": "SUTI_TOKEN", "valueFrom": token}],
                        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}},
                        "securityContext": security,
                        "volumeMounts": [
                            {"name": "tls", "mountPath": "/tls", "readOnly": True},
                            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own
                        ],
                    }
                ],
                "volumes": [
                    {"name": "tls", "secret": {"secretName": "suti-tls"}},
                    {"name": "tmp", "emptyDir": {}},
                ],
            },
        }


def within(seconds: float, what: str, found: Callable[[], Any]) -> Any:
    """What `found` gives once it gives anything; fails the test after so many seconds. Refusals are nothing yet."""
    deadline, last = time.monotonic() + seconds, ""
    while time.monotonic() < deadline:
        try:
            if answer := found():
                return answer
        except Refused as refused:
            last = str(refused)[-500:]
        time.sleep(1.0)
    raise AssertionError(f"after {seconds:.0f} s still not: {what} {last}")
