"""What runs beside user code: the worker host, its forkserver, the workers, inline workers.

Imports the SDK and never the coordinator.
"""
