"""The durable execution state machine: pure, synchronous, deterministic.

This package knows nothing of asyncio, gRPC, threads, clocks, randomness, or the SDK. Time
and identifiers come in with events; effects go out as commands.
"""
