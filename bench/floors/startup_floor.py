"""The least a server on these libraries needs to start. Imports nothing of ours; prints "port
N"."""

from __future__ import annotations

import asyncio
import socket

import aiohttp
import apsw
import msgspec
import prometheus_client
import uvicorn
import uvloop

LOADED = (aiohttp, apsw, msgspec, prometheus_client)


async def serve(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


class Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        assert sockets
        print("port", sockets[0].getsockname()[1], flush=True)


async def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(serve, http="httptools", lifespan="off", log_level="warning")
    await Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(main())
