"""What the doctor says of a cluster. Real ones are asked in tests/cluster; here an API server of another version."""

import pytest
from kubernetes.client import Configuration

from suti.infra.jobs.kubernetes.api import KubernetesApi
from suti.local.cluster_checks import check_cluster
from suti.local.findings import Finding, Verdict
from tests.servers.http import Handler, listening


def first_word(major: str, minor: str) -> Finding:
    """The first line about a cluster that says it has this version."""

    class Versions(Handler):
        def do_GET(self) -> None:
            self.answer(200, {"major": major, "minor": minor, "gitVersion": f"v{major}.{minor}.0"})

    with listening(Versions) as address:
        configuration = Configuration()
        configuration.host = address
        api = KubernetesApi(configuration)
        try:
            return next(check_cluster(api, namespace="suti", release="suti"))
        finally:
            api.close()


@pytest.mark.parametrize(("minor", "verdict"), [("28", Verdict.FAIL), ("30+", Verdict.FAIL), ("31", Verdict.OK)])
def test_a_kubernetes_that_is_too_old_is_told_which_is_not(minor: str, verdict: Verdict) -> None:
    finding = first_word("1", minor)

    assert finding.verdict is verdict
    assert bool(finding.remedy) is (verdict is Verdict.FAIL)
    assert "1.31" in finding.found or verdict is Verdict.OK
