"""An ASGI application that answers in the ways that a proxy has to pass on: at once, slowly, after an upload, on a
WebSocket.

Every answer but that to /asked begins with the release, the variable VERSION.
"""

import asyncio
import hashlib
import json
import os

VERSION = os.environ.get("VERSION", "dev")
PART = 0.4  # seconds
ready = asyncio.Event()  # until somebody asks for /drain


async def app(scope, receive, send):
    await {"lifespan": live, "http": answer, "websocket": talk}[scope["type"]](scope, receive, send)


async def live(_scope, receive, send):
    ready.set()
    for phase in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{phase}.complete"})


async def answer(scope, receive, send):
    path, status, parts = scope["path"], 200, [VERSION]
    if path.endswith("/slow"):
        await asyncio.sleep(PART)
        parts = [VERSION[:1], VERSION[1:]]
    elif path.endswith("/upload"):
        parts += ["\n", hashlib.sha256(await body(receive)).hexdigest()]
    elif path.endswith("/asked"):
        headers = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode(), []).append(value.decode())
        parts = [json.dumps({name: ", ".join(values) for name, values in headers.items()})]
    elif path == "/drain":
        ready.clear()
    elif path == "/ready" and not ready.is_set():
        status = 503
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    for part in parts:
        await send({"type": "http.response.body", "body": part.encode(), "more_body": True})
        if path.endswith("/slow"):
            await asyncio.sleep(PART)
    await send({"type": "http.response.body"})


async def body(receive):
    whole, more = b"", True
    while more:
        message = await receive()
        whole, more = whole + message.get("body", b""), message.get("more_body", False)
    return whole


async def talk(_scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": f"{VERSION} {message['text']}"})
