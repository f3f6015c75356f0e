"""Which nodes may run a group: targets, operands, datacenters, drivers."""

import pytest

from agent.model.base import NodeID
from agent.model.job import Constraint
from agent.model.node import DriverInfo, Node
from agent.scheduler.feasible import has_driver, in_datacenters, meets
from agent.scheduler.versions import satisfies

NODE = Node(
    id=NodeID("n1"),
    name="c1",
    datacenter="dc1",
    node_class="big",
    attributes={"kernel.name": "linux", "cpu.numcores": "12", "nomad.version": "2.0.5", "os.version": "12.11"},
    meta={"rack": "a,b,c", "empty": ""},
)


@pytest.mark.parametrize(
    ("left", "operand", "right", "met"),
    [
        ("${attr.kernel.name}", "=", "linux", True),
        ("${attr.kernel.name}", "", "linux", True),
        ("${attr.kernel.name}", "is", "windows", False),
        ("${attr.kernel.name}", "!=", "windows", True),
        ("${attr.kernel.name}", "not", "linux", False),
        ("${attr.absent}", "!=", "x", True),
        ("${attr.absent}", "=", "", False),
        ("${attr.absent}", "=", "${attr.absent}", False),
        ("${node.datacenter}", "=", "dc1", True),
        ("${node.unique.name}", "=", "c1", True),
        ("${node.unique.id}", "=", "n1", True),
        ("${node.class}", "=", "big", True),
        ("${node.pool}", "=", "default", True),
        ("${node.nothing}", "is_set", "", False),
        # Numbers are compared as numbers: as text "12" would be below "9".
        ("${attr.cpu.numcores}", ">", "9", True),
        ("${attr.cpu.numcores}", "<=", "12", True),
        ("${attr.os.version}", ">=", "12.2", False),
        ("${attr.kernel.name}", "<", "macos", True),
        ("${attr.kernel.name}", "regexp", "^lin", True),
        ("${attr.kernel.name}", "regexp", "(", False),
        ("${attr.nomad.version}", "version", ">= 1.9, < 3", True),
        ("${attr.kernel.name}", "version", ">= 1", False),
        ("${attr.nomad.version}", "semver", "~> 2.0.1", True),
        ("${meta.rack}", "set_contains", "a,c", True),
        ("${meta.rack}", "set_contains_all", "a,d", False),
        ("${meta.rack}", "set_contains_any", "d,c", True),
        ("${meta.empty}", "is_set", "", True),
        ("${meta.absent}", "is_not_set", "", True),
        ("${meta.rack}", "resembles", "a", False),
    ],
)
def test_each_operand_judges_a_node(left, operand, right, met):
    """
    An operand is met or not as Nomad says; one that does not exist is met by no node.
    """
    assert met == meets(Constraint(l_target=left, operand=operand, r_target=right), NODE)


@pytest.mark.parametrize(
    ("version", "constraint", "strict", "met"),
    [
        ("1.2.3", "= 1.2.3", False, True),
        ("1.2", "1.2.0", False, True),
        ("v1.2.3", "!= 1.2.3", False, False),
        ("1.10.0", "> 1.9", False, True),
        ("1.4.9", "~> 1.4.2", False, True),
        ("1.5.0", "~> 1.4.2", False, False),
        ("1.9.0", "~> 1.4", False, True),
        ("2.0.0", "~> 1.4", False, False),
        # A pre-release is let in only by a condition that names one of the same numbers, unless semver asks.
        ("1.7.0-beta.2", ">= 1.6", False, False),
        ("1.7.0-beta.2", ">= 1.6", True, True),
        ("1.7.0-beta.2", "> 1.7.0-beta.1", False, True),
        ("1.7.0-beta.2", ">= 1.7.0", True, False),
        ("1.7.0-beta.10", "> 1.7.0-beta.9", True, True),
        ("1.7.0+ent", "= 1.7.0", False, True),
        ("none", ">= 1", False, False),
        ("1.0", "about 1", False, False),
    ],
)
def test_versions_are_ordered(version, constraint, strict, met):
    """
    Versions are compared number by number, pre-releases below their release, build data ignored.
    """
    assert met == satisfies(version, constraint, strict=strict)


@pytest.mark.parametrize(
    ("patterns", "covered"),
    [(("*",), True), (("dc1",), True), (("dc2", "dc*"), True), (("*1",), True), (("dc",), False), (("d?1",), False)],
)
def test_datacenters_may_have_asterisks(patterns, covered):
    """
    Only * is special in the name of a datacenter.
    """
    assert covered == in_datacenters(NODE.datacenter, patterns)


@pytest.mark.parametrize(
    ("info", "attributes", "able"),
    [
        (DriverInfo(detected=True, healthy=True), {}, True),
        (DriverInfo(detected=True, healthy=False), {"driver.exec": "1"}, False),
        (DriverInfo(detected=False, healthy=True), {}, False),
        (None, {"driver.exec": "1"}, True),
        (None, {}, False),
    ],
)
def test_a_driver_must_be_there_and_healthy(info, attributes, able):
    """
    What a driver reports of itself counts more than the node's attributes.
    """
    node = Node(id=NodeID("n"), attributes=attributes, drivers={"exec": info} if info else {})

    assert able == has_driver(node, "exec")
