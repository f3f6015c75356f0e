"""`outrider top`: the state of one region at a glance, in a terminal."""
