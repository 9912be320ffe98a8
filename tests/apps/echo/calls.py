"""A gRPC service and its client, whose messages are plain bytes: calls.py serve, or calls.py call ADDRESS NAME.

The client trusts the certificates in the variable CA and calls until its input ends; then it says how many calls each
release has answered. A call that fails ends it.
"""

import json
import os
import select
import signal
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import grpc

VERSION = os.environ.get("VERSION", "dev")
SERVICE, METHOD = "relman.Echo", "Say"
WORDS = 3
PAUSE = 0.02


def say(request, context):
    context.set_trailing_metadata((("release", VERSION),))
    for _ in range(WORDS):
        yield request


def serve():
    server = grpc.server(ThreadPoolExecutor(8))
    handlers = {METHOD: grpc.unary_stream_rpc_method_handler(say)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    server.add_insecure_port("0.0.0.0:8080")
    server.start()
    signal.signal(signal.SIGTERM, lambda *_: server.stop(1))
    server.wait_for_termination()


def call(address, name):
    said = Counter()
    credentials = grpc.ssl_channel_credentials(os.environ["CA"].encode())
    with grpc.secure_channel(address, credentials, [("grpc.ssl_target_name_override", name)]) as channel:
        method = channel.unary_stream(f"/{SERVICE}/{METHOD}")
        while not select.select([sys.stdin], [], [], PAUSE)[0]:
            found = method(b"hello", timeout=10)
            assert [*found] == [b"hello"] * WORDS
            said[dict(found.trailing_metadata())["release"]] += 1
    print(json.dumps(said))


if __name__ == "__main__":
    serve() if sys.argv[1] == "serve" else call(*sys.argv[2:])
