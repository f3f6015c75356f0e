"""Who is a target: from what a cluster says of its members and nodes."""

from telemetry.scrape.description import AgentRole, Region, Target
from telemetry.scrape.members import Known, beside_listed, clients_in, node_in, servers_in, usual_port
from tests.telemetry.scrape.recorded_nomad import member, stub

REGION = Region(
    name="global", expected_servers=3, servers=(Target(name="s1", address="127.0.0.11:4646", datacenter="dc1"),)
)


def targets(*pairs: tuple[str, str]) -> list[Target]:
    return [Target(name=name, address=address, datacenter="dc1") for name, address in pairs]


def known(*names: str) -> Known:
    return Known.of(targets(*((name, f"{name}:4646") for name in names)))


def after(before: Known, *names: str, **more) -> list[str]:
    found = targets(*((name, f"{name}:4646") for name in names))
    return list(before.after(found, **({"knows_leader": True} | more)).targets)


def test_recorded_members_become_targets():
    """
    A member of Nomad 2.0.5 is called by its name without the region, at its address and the usual HTTP port.
    """
    recorded = {
        "Addr": "127.0.0.13",
        "Name": "s3.global",
        "Port": 4648,
        "Status": "alive",
        "Tags": {"role": "nomad", "rpc_addr": "127.0.0.13", "port": "4647", "region": "global", "dc": "dc1"},
    }

    found, left = servers_in([recorded], REGION)

    assert (targets(("s3", "127.0.0.13:4646")), frozenset()) == (found, left)


def test_a_dead_server_is_a_target_and_one_that_left_is_not():
    """
    `up` must be 0 for a server that died; one that left on purpose is nobody's loss.
    """
    states = ("alive", "failed", "leaving", "left")
    members = [member(status, f"127.0.0.{number}", status) for number, status in enumerate(states)]

    found, left = servers_in(members, REGION)

    assert (["alive", "failed", "leaving"], {"left"}) == ([target.name for target in found], left)


def test_two_servers_at_one_address_are_one_target():
    """
    They differ in a port that members do not say; scraped twice, the one that answers would count for both.
    """
    members = [member("a", "127.0.0.1", "failed"), member("b", "127.0.0.1"), member("c", "127.0.0.1")]

    assert ["b"] == [target.name for target in servers_in(members, REGION)[0]]


def test_servers_of_other_regions_are_left_to_them():
    """
    A federated server knows all regions.
    """
    members = [member("a", "127.0.0.1", region="us"), member("b", "127.0.0.2")]

    assert ["b"] == [target.name for target in servers_in(members, REGION)[0]]


def test_the_usual_port_is_that_of_most_listed_servers():
    """
    Members say their RPC and gossip ports, and not that of HTTP.
    """
    servers = tuple(Target(name=f"s{port}{n}", address=f"a{n}:{port}") for n, port in enumerate((4646, 14646, 14646)))

    assert 14646 == usual_port(Region(name="r", expected_servers=3, servers=servers))
    assert 4646 == usual_port(Region(name="r", expected_servers=3, servers=()))


def test_a_client_is_a_target_in_every_state():
    """
    One that is down keeps `up == 0` until it is purged or collected.
    """
    states = ("initializing", "ready", "down", "disconnected")
    nodes = [node_in(stub(number, state), f"10.0.0.{number}:4646") for number, state in enumerate(states)]

    assert ["c0", "c1", "c2", "c3"] == [target.name for target in clients_in(nodes)]


def test_a_client_without_an_address_is_left_out():
    """
    The others are found all the same.
    """
    nodes = [node_in(stub(1, Address=""), ""), node_in(stub(2), "")]

    assert ["c2"] == [target.name for target in clients_in(nodes)]


def test_a_machine_installed_anew_is_one_target():
    """
    Its old node is down, by the same name, at the same address or another.
    """
    old = node_in(stub(1, "down"), "10.0.0.1:4646")
    same_address = node_in(stub(2, Name="c1-new"), "10.0.0.1:4646")
    same_name = node_in(stub(3, Name="c1"), "10.0.0.3:4646")

    assert ["c1-new"] == [target.name for target in clients_in([same_address, old])]
    assert ["10.0.0.3:4646"] == [target.address for target in clients_in([same_name, old])]


def test_two_living_clients_of_one_name_are_told_apart():
    """
    Two series with the same labels would spoil each other.
    """
    nodes = [node_in(stub(number, Name="same"), f"10.0.0.{number}:4646") for number in (1, 2)]

    assert ["same-00000001", "same-00000002"] == [target.name for target in clients_in(nodes)]


def test_an_address_that_is_not_told_is_made_of_the_default_port():
    """
    IPv6 gets its brackets.
    """
    assert "127.0.0.21:4646" == node_in(stub(1), "").address
    assert "[fe80::1]:4646" == node_in(stub(1, Address="fe80::1"), "").address


def test_one_answer_without_a_target_does_not_remove_it():
    """
    Only three in a row, of servers that know a leader, do.
    """
    first = known("a", "b").after(targets(("a", "a:4646")), knows_leader=True)
    second = first.after(targets(("a", "a:4646")), knows_leader=True)

    assert ["a", "b"] == list(first.targets)
    assert ["a", "b"] == list(second.targets)
    assert ["a"] == after(second, "a")
    assert ["a", "b"] == after(second, "a", "b")


def test_a_server_that_knows_no_leader_removes_nothing():
    """
    One that has just started sees itself alone, and may do so for ever.
    """
    state = known("a", "b", "c")
    for _ in range(10):
        state = state.after(targets(("a", "a:4646")), knows_leader=False)

    assert ["a", "b", "c"] == list(state.targets)


def test_a_server_that_left_is_gone_at_once():
    """
    Leaving is said, not concluded.
    """
    assert ["a"] == after(known("a", "b"), "a", left=frozenset({"b"}))


def test_a_new_name_at_a_known_address_replaces_the_old():
    """
    One address is scraped once.
    """
    state = known("a").after(targets(("new", "a:4646")), knows_leader=False)

    assert ["new"] == list(state.targets)


def test_what_is_listed_is_not_found_again():
    """
    Neither by name nor by address, for its labels are the operator's.
    """
    found = targets(("s1", "10.9.9.9:4646"), ("x", "127.0.0.11:4646"), ("s2", "127.0.0.12:4646"))

    assert ["s2"] == [target.name for target in beside_listed(found, REGION, AgentRole.SERVER)]
