"""`suti doctor`: what is missing on this machine, or what keeps a release on Kubernetes from working."""

import os
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from suti.core.errors import BadConfiguration
from suti.local.checks import check_machine
from suti.local.findings import Finding, Verdict
from suti.local.folder import DataFolder, default_data_folder

app = typer.Typer(help="Say what is missing on this machine, and how to get it; or what a release on Kubernetes lacks.")

_MARK = {Verdict.OK: "[green]ok  [/]", Verdict.WARN: "[yellow]warn[/]", Verdict.FAIL: "[red]fail[/]"}


class ClusterUnseen(BadConfiguration):
    """The cluster cannot be looked at."""

    reason = "CLUSTER_UNSEEN"


@app.command()
def doctor(
    data: Annotated[Path | None, typer.Option(help="Data folder. Unset: $SUTI_DATA, or ./suti-data.")] = None,
    cluster: Annotated[bool, typer.Option("--cluster", help="Look at a release on Kubernetes instead.")] = False,
    namespace: Annotated[str, typer.Option(help="With --cluster: where the release is.")] = "suti",
    release: Annotated[str, typer.Option(help="With --cluster: its name.")] = "suti",
    kubeconfig: Annotated[
        Path | None, typer.Option(help="With --cluster. Unset: $KUBECONFIG, or ~/.kube/config.")
    ] = None,
) -> None:
    """Check this machine, or a release on Kubernetes; ends with 1 if something that is needed is missing."""
    console = Console(highlight=False)
    failed: list[str] = []
    found = (
        _cluster(kubeconfig, namespace=namespace, release=release)
        if cluster
        else check_machine(DataFolder((data or default_data_folder()).absolute()))
    )
    for finding in found:
        failed += [finding.subject] if finding.verdict is Verdict.FAIL else []
        remedy = f"\n                      → {finding.remedy}" if finding.remedy else ""
        mark = _MARK[finding.verdict]
        console.print(f"{mark} {finding.subject:<16} ", end="")
        console.print(f"{finding.found}{remedy}", soft_wrap=True, markup=False)
    console.print("Everything that is needed is there." if not failed else f"Not ready: {', '.join(failed)}.")
    raise typer.Exit(1 if failed else 0)


def _cluster(kubeconfig: Path | None, *, namespace: str, release: str) -> Iterable[Finding]:
    if find_spec("kubernetes") is None:
        raise ClusterUnseen("Kubernetes' client is not installed: `make install`, or `pip install kubernetes`")
    from suti.infra.jobs.kubernetes.api import KubernetesApi  # noqa: PLC0415 - may be missing
    from suti.infra.jobs.kubernetes.errors import ApiFault  # noqa: PLC0415
    from suti.local.cluster_checks import check_cluster  # noqa: PLC0415

    place = kubeconfig or Path(os.environ.get("KUBECONFIG") or "~/.kube/config").expanduser()
    api = KubernetesApi.connect(place)
    try:
        yield from check_cluster(api, namespace=namespace, release=release)
    except ApiFault as fault:
        raise ClusterUnseen(f"{fault}: see that the address and the rights in {place} are right") from fault
    finally:
        api.close()
