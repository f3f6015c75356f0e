"""The drill: faults on a cluster of its own, and the scoreboard of what a receiver got."""
