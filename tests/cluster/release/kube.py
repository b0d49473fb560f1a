"""kubectl and Helm, as a person would use them."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.charts.rendering import helm

Object = dict[str, Any]


class Refused(AssertionError):
    """A command ended with an error; its text is what it said."""


@dataclass(frozen=True)
class Kube:
    """Commands in one namespace."""

    kubeconfig: Path
    namespace: str

    def kubectl(self, *arguments: str, stdin: str | None = None, limit_s: float = 300.0) -> str:
        """What it printed. Raises Refused with what it said if it failed."""
        return self._run(kubectl_path(), "-n", self.namespace, *arguments, stdin=stdin, limit_s=limit_s)

    def helm(self, *arguments: str, limit_s: float = 900.0) -> str:
        """The same for Helm, which prints what tests say to where errors go."""
        return self._run(helm(), "-n", self.namespace, *arguments, limit_s=limit_s, both=True)

    def helm_fails(self, *arguments: str, limit_s: float = 900.0) -> str:
        """What Helm says when it fails, as it must."""
        try:
            told = self.helm(*arguments, limit_s=limit_s)
        except Refused as refused:
            return str(refused)
        raise AssertionError(f"helm {' '.join(arguments)} did not fail: {told}")

    def get(self, kind: str, *more: str) -> list[Object]:
        """The objects of a kind."""
        found: Object = json.loads(self.kubectl("get", kind, "-o", "json", *more))
        items: list[Object] = found.get("items", [found])
        return items

    def pods(self, component: str) -> list[Object]:
        """Pods of a component that are not on their way out."""
        found = self.get("pods", "-l", f"app.kubernetes.io/component={component}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def names(self, component: str) -> set[str]:
        """The names of those."""
        return {pod["metadata"]["name"] for pod in self.pods(component)}

    def secret(self, name: str) -> Mapping[str, str]:
        """A secret's values, decoded by kubectl's own template."""
        template = '{{range $k, $v := .data}}{{$k}}={{$v | base64decode}}{{"\\n"}}{{end}}'
        text = self.kubectl("get", "secret", name, "-o", f"go-template={template}")
        return dict(line.split("=", maxsplit=1) for line in text.splitlines() if line)

    @contextmanager
    def forwarded(self, target: str, port: int) -> Generator[int]:
        """A port of this machine that leads to a service's; it follows when pods come and go."""
        local = _free_port()
        # The loop is a shell's, so that the forwarding goes on while the test does something else.
        script = 'while :; do "$@" >/dev/null 2>&1; sleep 0.5; done'
        command = [kubectl_path(), "-n", self.namespace, "port-forward", target, f"{local}:{port}"]
        process = subprocess.Popen(
            ["/bin/bash", "-c", script, "bash", *command], env=self._environment(), start_new_session=True
        )
        try:
            deadline = time.monotonic() + 60
            while not _listens(local):
                assert time.monotonic() < deadline, f"{target} cannot be reached through a port-forward"
                time.sleep(0.2)
            yield local
        finally:
            os.killpg(process.pid, 9)
            process.wait(10)

    def state(self) -> str:
        """Everything that helps to see why something is not ready."""
        parts = [
            self.kubectl("get", "pods,jobs,pvc", "-o", "wide"),
            self.kubectl("get", "events", "--sort-by=.lastTimestamp"),
        ]
        for pod in self.get("pods"):
            name = pod["metadata"]["name"]
            statuses = pod["status"].get("containerStatuses", [])
            if not all(one.get("ready") for one in statuses) and pod["status"].get("phase") != "Succeeded":
                for more in ((), ("--previous",)):
                    try:
                        parts.append(f"== {name}\n" + self.kubectl("logs", name, "--tail=30", *more))
                    except Refused:
                        continue
        return "\n".join(parts)

    def _run(self, *command: str, stdin: str | None = None, limit_s: float, both: bool = False) -> str:
        done = subprocess.run(
            command,
            input=stdin,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=limit_s,
        )
        if done.returncode != 0:
            said = f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}".strip()
            raise Refused(f"{Path(command[0]).name} {' '.join(command[1:])}: {said}")
        return done.stdout + (done.stderr if both else "")

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig)}


def kubectl_path() -> str:
    """kubectl; skips where there is none."""
    found = shutil.which("kubectl")
    if found is None:
        pytest.skip("no kubectl: install it")
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
