"""A gRPC service and its client, whose messages are plain bytes: calls.py serve, or calls.py call ADDRESS NAME CA."""

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

VERSION = os.environ.get("VERSION", "dev")
SERVICE, METHOD = "relman.Echo", "Say"


def say(request, context):
    context.set_trailing_metadata((("release", VERSION),))
    for _ in range(3):
        yield VERSION.encode() + b" " + request


def serve():
    server = grpc.server(ThreadPoolExecutor(8))
    handlers = {METHOD: grpc.unary_stream_rpc_method_handler(say)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    server.add_insecure_port("[::]:8080")
    server.start()
    signal.signal(signal.SIGTERM, lambda *_: server.stop(5))
    server.wait_for_termination()


def call(address, name, ca):
    """Call once a line that is read, and print the answers with the trailer."""
    credentials = grpc.ssl_channel_credentials(Path(ca).read_bytes())
    with grpc.secure_channel(address, credentials, [("grpc.ssl_target_name_override", name)]) as channel:
        method = channel.unary_stream(f"/{SERVICE}/{METHOD}")
        for line in sys.stdin:
            found = method(line.strip().encode(), timeout=10)
            said = [each.decode() for each in found]
            print(said, dict(found.trailing_metadata())["release"], flush=True)


if __name__ == "__main__":
    serve() if sys.argv[1] == "serve" else call(*sys.argv[2:])
