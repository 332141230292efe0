"""The coordinator process: the only holder of execution state, the only clock, the only scheduler.

The coordinator runs no user code, and imports neither the SDK nor the worker's side.
"""
