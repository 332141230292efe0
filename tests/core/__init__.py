"""The core, event by event. `machine` is how the tests talk to it, `replay` how they check it."""
