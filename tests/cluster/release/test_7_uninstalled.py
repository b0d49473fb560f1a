"""What is left when the release is gone: what its notes say is kept, and nothing else."""

from tests.charts.rendering import COMPONENTS
from tests.cluster.release.installed import CLIENT, NAME, Release, within
from tests.cluster.release.kube import Object

KEPT = {
    *(("Secret", f"{NAME}-{name}") for name in ("tokens", "store-users", "nats-users", "minio-root")),
    *(("PersistentVolumeClaim", f"data-{NAME}-{server}-0") for server in ("nats", "minio")),
}
NOT_OURS = {"Event", "EndpointSlice", "Endpoints", "Lease", "PodMetrics"}  # come and go with what they belong to


def test_uninstalling_leaves_only_what_is_kept(release: Release) -> None:
    assert set(COMPONENTS)
    release.kube.kubectl("delete", "pod", CLIENT)

    release.kube.helm("uninstall", NAME, "--wait", "--timeout", "180s")

    def left() -> list[tuple[str, str]]:
        kinds = release.kube.kubectl("api-resources", "--namespaced", "--verbs=list", "-o", "name").split()
        found = [one for one in release.kube.get(",".join(sorted(set(kinds)))) if not _of_the_namespace(one)]
        return sorted({(one["kind"], one["metadata"]["name"]) for one in found} - KEPT)

    within(120, f"nothing is left but {sorted(KEPT)}", lambda: not left())
    found = {(one["kind"], one["metadata"]["name"]) for one in release.kube.get("secrets,pvc")}
    assert found >= KEPT


def _of_the_namespace(one: Object) -> bool:
    """What every namespace has, or this one had before: its root certificates, its default account, the TLS secret."""
    name, kind = one["metadata"]["name"], one["kind"]
    return kind in NOT_OURS or (kind, name) in {
        ("ConfigMap", "kube-root-ca.crt"),
        ("ServiceAccount", "default"),
        ("Secret", "suti-tls"),
    }
