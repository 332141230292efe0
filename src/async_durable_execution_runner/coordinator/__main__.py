from ..rpc import set_up_grpc

set_up_grpc()

from .server import main  # noqa: E402 - gRPC reads its settings when it is imported

main()
