from ..rpc import prefer_latency

prefer_latency()

from .server import main  # noqa: E402 - gRPC reads its settings when it is imported

main()
