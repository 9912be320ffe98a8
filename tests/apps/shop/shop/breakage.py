"""Faults that no test of the application sees, so that a release can pass and then fail when it serves.

BREAK=start exits at once, BREAK=health never gets healthy, BREAK=later gets healthy and dies after 5 s; BREAK=products
is healthy for good, and answers every visitor with an error. BREAK=worker lets no worker start.
"""

import os
import sys
import threading


def at_start(how):
    if how == "start":
        raise SystemExit("shop: broken on purpose: refusing to start")
    if how == "later":
        threading.Timer(5, die).start()


def in_worker(how):
    if how == "worker":
        raise SystemExit("shop: broken on purpose: the worker refuses to start")


PATHS = {"health": "/health", "products": "/"}


def in_service(app, how):
    return failing_at(app, PATHS[how]) if how in PATHS else app


def failing_at(app, path):
    def serve(environ, start_response):
        if environ["PATH_INFO"] != path:
            return app(environ, start_response)
        start_response("503 Service Unavailable", [("Content-Type", "text/plain")])
        return [b"broken on purpose\n"]

    return serve


def die():
    print("shop: broken on purpose: dying", file=sys.stderr, flush=True)
    os._exit(3)
