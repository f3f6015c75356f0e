"""Which servers begin together: one group at most, whoever sees whom when."""

import random
from dataclasses import replace

import pytest

from agent.gossip.bootstrap import GROUP_TAG, RAFT_TAG, TAG, Choice, Waiting, agreed, choose, joinable
from agent.gossip.members import MemberView, Status
from agent.gossip.wire import Address


def _view(number, status=Status.ALIVE, **tags):
    own = {"region": "global", "expect": "3", "id": f"id-{number}", RAFT_TAG: f"10.0.0.{number}:4649", **tags}
    return MemberView(f"s{number}.global", Address(f"10.0.0.{number}", 4648), own, status, 1)


THREE = [_view(1), _view(2), _view(3)]


def test_as_many_servers_as_expected_are_chosen():
    """
    The choice is their Raft addresses by id, whatever else is known.
    """
    others = [
        _view(4, Status.FAILED),
        _view(5, region="west"),
        _view(6, expect="5"),
        replace(_view(7), tags={"region": "global", "expect": "3"}),
        replace(_view(8), suspected=True),
    ]

    assert choose([*THREE, *others], "global", 3) == Choice({f"id-{n}": f"10.0.0.{n}:4649" for n in (1, 2, 3)})


@pytest.mark.parametrize(
    ("views", "reason"),
    [
        (THREE[:2], "2 of 3 servers are there: s1.global, s2.global"),
        ([*THREE, _view(4)], "4 servers expect to be 3"),
        ([*THREE[:2], _view(3, id="id-1")], "the same id"),
    ],
)
def test_nobody_is_chosen_while_there_are_too_few_too_many_or_copies(views, reason):
    """
    What is waited for is said.
    """
    found = choose(views, "global", 3)

    assert isinstance(found, Waiting)
    assert reason in found.reason


def test_the_group_begins_when_all_chose_the_same_or_one_has_begun():
    """
    Others that have not chosen are waited for; those that chose otherwise are named.
    """
    choice = choose(THREE, "global", 3)

    def told(second, third):
        return [THREE[0], _view(2, **{TAG: second}), _view(3, **{TAG: third})]

    formed = Choice(choice.peers, formed=True)
    assert agreed(choice, "id-1", told(choice.tag, choice.tag)) == formed
    assert agreed(choice, "id-1", told(formed.tag, "")) == formed
    assert "id-3" in agreed(choice, "id-1", told(choice.tag, "")).reason
    assert "another group: id-2" in agreed(choice, "id-1", told("other", choice.tag)).reason


@pytest.mark.parametrize("count", [3, 4, 5])
def test_there_is_one_group_at_most_whatever_each_server_sees(count):
    """
    Servers that see any part of the others, with old tags, in any order, never form two groups.
    """
    began = 0
    for seed in range(300):
        rng = random.Random(seed)
        tags = dict.fromkeys(range(1, count + 1), "")
        seen = {number: dict(tags) for number in tags}
        choices, formed = {}, {}
        for _ in range(120):
            me = rng.choice(sorted(tags))
            # What gossip brought so far: each tag is now or as it was seen last.
            seen[me] |= {other: tag for other, tag in tags.items() if other == me or rng.random() < 0.5}
            known = [n for n in seen[me] if n == me or rng.random() < 0.7]
            views = [_view(number, **{TAG: seen[me][number]}) for number in known]
            if me in formed:
                continue
            choice = choices.get(me)
            found = choose(views, "global", 3) if choice is None else agreed(choice, f"id-{me}", views)
            if isinstance(found, Choice):
                (formed if found.formed else choices)[me] = found
                tags[me] = found.tag
        began += bool(formed)
        assert len({tuple(sorted(choice.peers)) for choice in formed.values()}) <= 1, f"seed {seed}"
    assert began or count > 3


def test_a_server_that_finds_a_group_waits_to_be_taken_in():
    """
    Whether others of its kind are enough for a group of their own or not; itself, other regions and the dead are no group.
    """
    member = _view(1, **{GROUP_TAG: "1"})

    assert joinable(None, "id-4", "global", [member, *THREE[1:], _view(4)])
    assert not joinable(None, "id-4", "global", [*THREE, _view(4)])
    assert not joinable(None, "id-1", "global", [member])
    assert not joinable(None, "id-4", "west", [member])
    assert not joinable(None, "id-4", "global", [replace(member, status=Status.FAILED)])


def test_a_choice_is_given_up_only_when_one_of_the_chosen_is_of_another_group():
    """
    A group of strangers is no reason, nor is one of the chosen that has begun with this very choice.
    """
    choice = choose(THREE, "global", 3)
    stranger, member = _view(9, **{GROUP_TAG: "1"}), _view(2, **{GROUP_TAG: "1"})
    begun = _view(2, **{GROUP_TAG: "1", TAG: replace(choice, formed=True).tag})

    assert not joinable(choice, "id-1", "global", [*THREE, stranger])
    assert not joinable(choice, "id-1", "global", [begun])
    assert joinable(choice, "id-1", "global", [member])
