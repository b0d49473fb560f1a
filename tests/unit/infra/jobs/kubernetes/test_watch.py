import asyncio
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

import pytest
from kubernetes.client import Configuration

from suti.infra.jobs.kubernetes.api import KubernetesApi
from suti.infra.jobs.kubernetes.errors import ApiFault
from suti.infra.jobs.kubernetes.watch import Follower
from tests.unit.infra.jobs.kubernetes.api_objects import pod
from tests.unit.infra.jobs.kubernetes.scripted_api import RESET, ScriptedApi, serving
from tests.waiting import becomes

PODS = "/api/v1/namespaces/suti/pods"


class Followed:
    """What a follower was told."""

    def __init__(self, address: str) -> None:
        self.names = set[str]()
        self.changes = list[str]()
        configuration = Configuration(host=address)
        self.api = KubernetesApi(configuration)
        self.follower = Follower(self.api, PODS, selector="a=b", listed=self._listed, changed=self._changed)

    def _listed(self, objects: Iterator[Mapping[str, Any]], version: Callable[[], int]) -> None:
        self.names = {one["metadata"]["name"] for one in objects}
        assert version() > 0

    def _changed(self, kind: str, found: Mapping[str, Any]) -> None:
        name = found["metadata"]["name"]
        self.changes.append(f"{kind} {name}")
        self.names = self.names - {name} if kind == "DELETED" else self.names | {name}


@pytest.fixture
def scripted() -> ScriptedApi:
    return ScriptedApi()


@pytest.fixture
def followed(scripted: ScriptedApi) -> Generator[Followed]:
    scripted.objects = [pod(0, name="a"), pod(1, name="b"), pod(2, name="c")]  # two pages
    with serving(scripted) as address:
        seen = Followed(address)
        yield seen
        seen.follower.stop()
        scripted.events.put("")
        seen.follower.join(5.0)
        seen.api.close()


async def test_all_pages_are_read_then_every_change(scripted: ScriptedApi, followed: Followed) -> None:
    followed.follower.start()
    await becomes(lambda: followed.names == {"a", "b", "c"})
    scripted.change("DELETED", pod(0, name="a"))
    scripted.change("ADDED", pod(0, name="d"))

    await becomes(lambda: followed.names == {"b", "c", "d"})
    assert scripted.watched_from == ["10"]


async def test_a_watch_that_ends_goes_on_from_its_last_version_bookmarks_included(
    scripted: ScriptedApi, followed: Followed
) -> None:
    followed.follower.start()
    await becomes(lambda: scripted.watched_from == ["10"])
    scripted.change("BOOKMARK", {"metadata": {}})
    scripted.events.put("")

    await becomes(lambda: len(scripted.watched_from) == 2)
    assert scripted.watched_from == ["10", "11"]
    assert followed.changes == []
    assert scripted.lists == 1


async def test_a_connection_that_is_reset_goes_on_from_its_last_version(
    scripted: ScriptedApi, followed: Followed
) -> None:
    followed.follower.start()
    await becomes(lambda: scripted.watched_from == ["10"])
    scripted.change("ADDED", pod(3, name="d"))
    await becomes(lambda: "d" in followed.names)
    scripted.events.put(RESET)
    scripted.change("ADDED", pod(4, name="e"))

    await becomes(lambda: "e" in followed.names)
    assert scripted.watched_from == ["10", "11"]
    assert scripted.lists == 1


@pytest.mark.parametrize("in_stream", [True, False])
async def test_a_version_that_is_too_old_lists_anew(
    scripted: ScriptedApi, followed: Followed, *, in_stream: bool
) -> None:
    followed.follower.start()
    await becomes(lambda: len(scripted.watched_from) == 1)
    scripted.objects = [pod(5, name="f")]
    if in_stream:
        scripted.events.put({"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}})
    else:
        scripted.faults["watch"].append(410)
        scripted.events.put("")

    await becomes(lambda: followed.names == {"f"})
    assert scripted.lists == 2


@pytest.mark.parametrize("fault", [429, 500, 503, RESET])
async def test_a_server_that_is_busy_or_broken_is_asked_again(
    scripted: ScriptedApi, followed: Followed, fault: int | str
) -> None:
    scripted.faults["list"].append(fault)
    scripted.faults["watch"] += [fault, fault]
    followed.follower.start()
    scripted.change("ADDED", pod(3, name="d"))

    await becomes(lambda: "d" in followed.names)
    await becomes(lambda: followed.follower.problem is None)
    assert scripted.lists == 1


@pytest.mark.parametrize("end", [RESET, ""])
async def test_watches_that_open_and_break_or_end_without_a_word_are_broken_until_one_tells_something(
    scripted: ScriptedApi, followed: Followed, end: str
) -> None:
    scripted.events.put(end)
    followed.follower.start()
    await becomes(lambda: followed.follower.broken_since is not None)
    since = followed.follower.broken_since
    for opened in range(2, 5):
        await becomes(lambda opened=opened: len(scripted.watched_from) == opened)
        assert followed.follower.broken_since == since
        if opened < 4:
            scripted.events.put(end)

    scripted.change("BOOKMARK", {"metadata": {}})
    await becomes(lambda: followed.follower.broken_since is None)

    assert followed.follower.problem is None
    assert scripted.lists == 1


async def test_a_watch_that_always_ends_at_once_is_asked_for_less_and_less_often(
    scripted: ScriptedApi, followed: Followed
) -> None:
    for _ in range(1_000):
        scripted.events.put("")
    followed.follower.start()
    await becomes(lambda: len(scripted.watched_from) >= 1)
    await asyncio.sleep(2.0)

    assert 1 < len(scripted.watched_from) <= 8  # after 0.1 s, 0.2 s, 0.4 s ... of which half is left to chance


async def test_watches_that_tell_something_and_end_at_once_are_not_asked_for_without_a_pause(
    scripted: ScriptedApi, followed: Followed
) -> None:
    for _ in range(1_000):
        scripted.change("BOOKMARK", {"metadata": {}})
        scripted.events.put("")
    began = time.monotonic()
    followed.follower.start()
    await becomes(lambda: len(scripted.watched_from) > 5)

    assert len(scripted.watched_from) <= (time.monotonic() - began) / 0.1 + 2
    assert followed.follower.broken_since is None


async def test_a_list_whose_pages_ran_out_of_time_begins_anew(scripted: ScriptedApi, followed: Followed) -> None:
    scripted.faults["list"].append(410)
    followed.follower.start()

    await becomes(lambda: followed.names == {"a", "b", "c"})


async def test_a_refusal_is_kept_for_whoever_asks(scripted: ScriptedApi, followed: Followed) -> None:
    scripted.faults["list"].append(403)
    followed.follower.start()

    await becomes(followed.follower.synced.is_set)  # and asked again: rights may come later


async def test_an_event_that_nobody_understands_lists_anew(scripted: ScriptedApi, followed: Followed) -> None:
    followed.follower.start()
    await becomes(lambda: len(scripted.watched_from) == 1)
    scripted.events.put({"type": "ADDED", "object": {"nonsense": True}})

    await becomes(lambda: scripted.lists == 2)


async def test_stopping_does_not_wait_for_the_server(scripted: ScriptedApi, followed: Followed) -> None:
    followed.follower.start()
    await becomes(lambda: len(scripted.watched_from) == 1)

    followed.follower.stop()
    followed.follower.join(5.0)

    assert followed.follower.problem is None


def test_a_call_waits_as_long_as_a_busy_server_asks_and_gives_up_on_a_refusal(scripted: ScriptedApi) -> None:
    scripted.faults["list"] += [429, 500]
    scripted.retry_after = "1"
    with serving(scripted) as address:
        api = KubernetesApi(Configuration(host=address))
        assert api.get(PODS)["items"] == []
        scripted.faults["list"].append(403)
        with pytest.raises(ApiFault, match="told to fail") as refused:
            api.get(PODS)
        api.close()

    assert (refused.value.status, refused.value.passing) == (403, False)


def test_a_server_that_is_not_there_is_a_passing_fault() -> None:
    api = KubernetesApi(Configuration(host="http://127.0.0.1:9"))

    with pytest.raises(ApiFault, match="does not answer") as fault:
        api.get(PODS)

    assert fault.value.passing
