"""Faults that no test of the application sees, so that a release can pass and then fail when it serves.

BREAK=start exits at once, BREAK=health never gets healthy, BREAK=later gets healthy and dies after 5 s.
"""

import os
import sys
import threading


def at_start(how):
    if how == "start":
        raise SystemExit("shop: broken on purpose: refusing to start")
    if how == "later":
        threading.Timer(5, die).start()


def in_service(app, how):
    return never_healthy(app) if how == "health" else app


def never_healthy(app):
    def serve(environ, start_response):
        if environ["PATH_INFO"] != "/health":
            return app(environ, start_response)
        start_response("503 Service Unavailable", [("Content-Type", "text/plain")])
        return [b"broken on purpose\n"]

    return serve


def die():
    print("shop: broken on purpose: dying", file=sys.stderr, flush=True)
    os._exit(3)
