"""Pods meet, are told a port that is new each time, and notice who left: real sockets, a thread for each pod."""

import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from suti.infra.jobs.gang_entry import gang_code
from suti.infra.jobs.gang_meeting import FirstPod, NobodyCame, OtherPod, Round
from tests.servers.nats import free_port

LIMIT_S = 20.0


@dataclass
class Place:
    """A port of the test's own, and what met there."""

    port: int = field(default_factory=free_port)
    made: list[FirstPod | Round] = field(default_factory=list[FirstPod | Round])

    def first(self, *, pods: int) -> FirstPod:
        found = FirstPod(self.port, pods=pods)
        self.made.append(found)
        return found

    def other(self, pod: int) -> OtherPod:
        return OtherPod("127.0.0.1", self.port, pod=pod)

    def meet(self, *pods: FirstPod | OtherPod) -> list[Round]:
        """All at once."""
        with ThreadPoolExecutor(len(pods)) as threads:
            meetings = [threads.submit(pod.meet, limit_s=LIMIT_S) for pod in pods]
            found = [meeting.result() for meeting in meetings]
        self.made += found
        return found


@pytest.fixture
def place() -> Generator[Place]:
    found = Place()
    yield found
    for one in found.made:
        one.close() if isinstance(one, FirstPod) else one.leave()


def test_all_are_told_the_same_port_and_another_one_each_time(place: Place) -> None:
    pods = [place.first(pods=3), place.other(1), place.other(2)]

    rounds = [place.meet(*pods), place.meet(*pods)]

    assert [len({one.port for one in found}) for found in rounds] == [1, 1]
    assert rounds[0][0].port != rounds[1][0].port
    assert not any(one.broken() for one in rounds[1])


def test_the_first_notices_that_another_left_and_the_others_that_it_gave_up(place: Place) -> None:
    first, one, two = place.meet(place.first(pods=3), place.other(1), place.other(2))

    one.leave()
    assert becomes_broken(first)
    assert not two.broken()
    first.leave()

    assert becomes_broken(two)


def becomes_broken(one: Round) -> bool:
    give_up = time.monotonic() + LIMIT_S
    while not one.broken() and time.monotonic() < give_up:
        time.sleep(0.01)
    return one.broken()


def test_who_comes_before_the_first_waits_for_it(place: Place) -> None:
    with ThreadPoolExecutor(1) as threads:
        early = threads.submit(place.other(1).meet, limit_s=LIMIT_S)
        (here,) = place.meet(place.first(pods=2))
        place.made.append(early.result())

    assert early.result().port == here.port


def test_one_that_came_and_went_before_all_were_there_is_waited_for_anew(place: Place) -> None:
    first = place.first(pods=3)
    with ThreadPoolExecutor(1) as threads:
        meeting = threads.submit(first.meet, limit_s=LIMIT_S)
        with pytest.raises(NobodyCame):
            place.other(1).meet(limit_s=1.0)  # gives up, and comes again
        found = place.meet(place.other(1), place.other(2))
        place.made.append(meeting.result())

    assert {one.port for one in found} == {meeting.result().port}


def test_who_waits_for_nobody_gives_up(place: Place) -> None:
    with pytest.raises(NobodyCame):
        place.first(pods=2).meet(limit_s=0.1)


@pytest.mark.parametrize(
    ("codes", "processes", "ended"),
    [
        ({0: 143, 1: 65}, 2, 65),  # one found bad data, the other was stopped for it
        ({0: 78, 1: 65}, 2, 78),
        ({0: 143}, 2, 1),  # the other left no word: it crashed
        ({0: 143, 1: 143}, 2, 143),
        ({0: 75, 1: 143}, 2, 75),
        ({}, 1, 1),
    ],
)
def test_a_pod_ends_with_what_says_most_of_its_processes(codes: dict[int, int], processes: int, ended: int) -> None:
    assert gang_code(codes, processes=processes) == ended
