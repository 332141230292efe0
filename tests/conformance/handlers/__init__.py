"""The handlers that the requirements describe, in the async SDK, in a module for each area.

Nothing is imported here: each process that loads one handler would load all modules.
"""
