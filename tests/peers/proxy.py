"""An HTTP proxy for CONNECT (RFC 9110, section 9.3.6): opens what it is asked for, whatever that is, and writes it down.

python proxy.py '{"host": "127.0.0.5", "port": 3128, "log": "…", "credentials": "user:password" | null, "refuse": false}'
"""

import asyncio
import base64
import json
import sys


class Proxy:
    def __init__(self, given: dict):
        self.log = given["log"]
        self.refuse = given.get("refuse", False)
        credentials = given.get("credentials")
        self.authorization = f"Basic {base64.b64encode(credentials.encode()).decode()}" if credentials else None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _ = head[0].split(" ")
            headers = dict(line.lower().split(": ", 1)[:1] + line.split(": ", 1)[1:] for line in head[1:] if ": " in line)
            self.write(method, target)
            if self.authorization and headers.get("proxy-authorization") != self.authorization:
                return await self.say(writer, "407 Proxy Authentication Required")
            if self.refuse or method != "CONNECT":
                return await self.say(writer, "403 Forbidden")
            host, port = target.rsplit(":", 1)
            try:
                there, back = await asyncio.open_connection(host.strip("[]"), int(port))
            except OSError:
                return await self.say(writer, "502 Bad Gateway")
            await self.say(writer, "200 Connection established")
            await asyncio.gather(pump(reader, back), pump(there, writer))
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            pass
        finally:
            writer.close()

    def write(self, method: str, target: str) -> None:
        with open(self.log, "a", encoding="utf-8") as log:
            log.write(json.dumps({"method": method, "target": target}) + "\n")

    async def say(self, writer: asyncio.StreamWriter, status: str) -> None:
        writer.write(f"HTTP/1.1 {status}\r\n\r\n".encode())
        await writer.drain()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main() -> None:
    given = json.loads(sys.argv[1])
    server = await asyncio.start_server(Proxy(given).serve, given["host"], given["port"])
    await server.serve_forever()


asyncio.run(main())
