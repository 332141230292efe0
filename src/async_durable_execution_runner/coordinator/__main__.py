import gc
import sys

from ..rpc import set_up_grpc

# Imported modules stay, and searching them for garbage takes a tenth of the time to start.
gc.disable()
set_up_grpc()

from .server import main  # noqa: E402 - gRPC reads its settings when it is imported

main(sys.argv[1:])
