"""Who may do what in Kubernetes, on the bus, in the store: the chart, the code and docs/security.md say the same."""

import json
import re

import pytest

from suti.infra.jobs.kubernetes.rights import RIGHTS
from suti.infra.rights import BUS, STORE
from tests.charts.rendering import CASES, LAUNCHERS, RELEASE, render, table


def test_roles_are_what_the_security_page_says() -> None:
    documented = {
        (account, "" if group == "core" else group, resource.removesuffix(" (its own)")): verbs
        for account, group, resource, verbs in table("Who may do what in Kubernetes")
    }
    rendered = {
        (name, group, resource): ", ".join(rule["verbs"])
        for name, role in render("minimal").of("Role").items()
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }

    assert rendered == documented


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize("case", CASES)
def test_a_launcher_has_the_rights_that_its_backend_needs_and_no_others(case: str, launcher: str) -> None:
    rules = render(case).of("Role")[launcher]["rules"]
    granted = [
        (group, resource, set(rule["verbs"]), rule.get("resourceNames"))
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    ]
    own = {("apps", "deployments"): [f"{RELEASE}-suti-{launcher}"]}  # of all Deployments its own alone

    assert granted == [
        (group, resource, set(verbs), own.get((group, resource))) for (group, resource), verbs in RIGHTS.items()
    ]


@pytest.mark.parametrize("case", CASES)
def test_only_the_launchers_are_bound_to_roles_and_nothing_reaches_beyond_the_namespace(case: str) -> None:
    rendered = render(case)
    bound = {subject["name"] for binding in rendered.of("RoleBinding").values() for subject in binding["subjects"]}

    assert bound == {f"{RELEASE}-suti-{name}" for name in LAUNCHERS}
    assert not rendered.of("ClusterRole")
    assert not rendered.of("ClusterRoleBinding")


@pytest.mark.parametrize("case", CASES)
def test_only_the_launchers_pods_carry_a_token(case: str) -> None:
    with_token = {name for name, pod in render(case).pods().items() if pod["spec"]["automountServiceAccountToken"]}

    assert with_token == set(LAUNCHERS)


def test_the_embedded_bus_gives_the_rights_that_the_code_lists() -> None:
    config = str(render("minimal").of("ConfigMap")["nats"]["data"]["nats.conf"])
    users = re.findall(
        r"user: (\w+)\s+password: \$NATS_(\w+).*?publish: (\[.*?\])\s+subscribe: (\[.*?\])", config, re.S
    )

    assert {user: (set(json.loads(publish)), set(json.loads(hear))) for user, _, publish, hear in users} == {
        user: (set(rights.publish), {*rights.subscribe, f"_INBOX_{user}.>"}) for user, rights in BUS.items()
    }
    assert all(variable == user.upper() for user, variable, _, _ in users)


def _codes(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def test_the_bus_table_is_what_the_code_lists() -> None:
    documented = {user: (_codes(says), _codes(hears)) for user, says, hears in table("Who may do what on the bus")}

    assert documented == {user: (set(rights.publish), set(rights.subscribe)) for user, rights in BUS.items()}


def test_the_store_table_is_what_the_code_lists() -> None:
    documented = {
        user: tuple(_codes(prefixes) for prefixes in columns)
        for user, *columns in table("Who may do what in the store")
    }

    assert documented == {
        user: (set(rights.writes), set(rights.reads), set(rights.deletes)) for user, rights in STORE.items()
    }
