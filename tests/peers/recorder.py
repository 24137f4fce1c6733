"""ASGI middleware that writes every request, byte for byte, as one JSON line before it passes it on. Answers stream."""

import json
import time


class Recorder:
    def __init__(self, app, path):
        self.app = app
        self.path = path

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started = time.time()
        messages = []
        while not messages or messages[-1].get("more_body"):
            messages.append(await receive())
        self.write(scope, started, b"".join(message.get("body", b"") for message in messages))

        async def replayed():
            return messages.pop(0) if messages else await receive()

        return await self.app(scope, replayed, send)

    def write(self, scope, started, body):
        query = scope["query_string"].decode("latin-1")
        line = {
            "at": int(started * 1000),
            "method": scope["method"],
            "url": scope["path"] + (f"?{query}" if query else ""),
            "headers": [part.decode("latin-1") for pair in scope["headers"] for part in pair],
            "body": body.decode("latin-1"),
        }
        with open(self.path, "a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
