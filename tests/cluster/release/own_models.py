"""Models in a volume, as a platform's own are: an upgrade of the release does not touch them."""

import json

from tests.cluster.release.kube import Kube, Object

CLAIM = "models"
SETTINGS = {"models.volume.persistentVolumeClaim.claimName": CLAIM}


def keep_models_of(image: str, kube: Kube) -> None:
    """The toy models of an image are in a volume of the namespace, for whoever mounts its claim."""
    claim: Object = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": CLAIM},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "100Mi"}}},
    }
    for made in (claim, _copier(image)):
        kube.kubectl("apply", "-f", "-", stdin=json.dumps(made))
    kube.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/copy-models", "--timeout=300s")


def _copier(image: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "copy-models"},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "fsGroup": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "copy",
                    "image": image,
                    "command": ["/bin/cp", "-r", "/opt/suti/toy-models/.", "/models"],
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    "volumeMounts": [{"name": "models", "mountPath": "/models"}],
                }
            ],
            "volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": CLAIM}}],
        },
    }
