"""How good a place is: bin packing, distance from the job's other allocations, distance from where it failed.

Source: Nomad, scheduler/rank.go and structs/funcs.go, ScoreFitBinPack.
"""

from agent.state.usage import Usage

BIN_PACK_MAX = 18.0
"""The score of a node filled to the brim: 20 less 10**0 for each of CPU and memory."""

RESCHEDULE_PENALTY = -1.0
"""For a node on which the allocation, or one before it, failed."""


def bin_pack(used: Usage, capacity: Usage) -> float:
    """Return 0 (empty) to 1 (full) for a node of which *used* will be taken; fuller is better."""
    free_cpu = 1.0 - used.cpu / capacity.cpu if capacity.cpu > 0 else 0.0
    free_memory = 1.0 - used.memory_mb / capacity.memory_mb if capacity.memory_mb > 0 else 0.0
    # The exponent is bounded so that a node whose capacity shrank under its work does not overflow.
    score = 20.0 - 10.0 ** max(free_cpu, -1.0) - 10.0 ** max(free_memory, -1.0)
    return float(min(BIN_PACK_MAX, max(0.0, score)) / BIN_PACK_MAX)


def anti_affinity(neighbours: int, wanted: int) -> float:
    """Return 0 for no neighbour of the same group on a node, below 0 for *neighbours* of *wanted* allocations."""
    return -(neighbours + 1) / wanted if neighbours and wanted > 0 else 0.0


def normalized(fit: float, neighbours: float, penalty: float) -> float:
    """Return the mean of the scores that say something; the fit always does, the others when they are not 0."""
    total, count = fit, 1
    if neighbours:
        total, count = total + neighbours, count + 1
    if penalty:
        total, count = total + penalty, count + 1
    return total / count
