"""Durable functions to learn from, one module per feature, each with its tests beside it.

`orders` first; then `steps`, `waits`, `callbacks`, `invokes`, `conditions`, `contexts`,
`batches`, `payloads`, `logs`. What only newer SDKs have is apart: `replay_safe`,
`recursion` and `completion` (2.1), `flows` (2.2), `extensions` (2.3), `pipelines` (2.4),
`scopes` (2.5).
"""
