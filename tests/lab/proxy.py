"""A TCP proxy that delays every byte. usage: proxy.py LISTEN TARGET MILLISECONDS (two ports of this host)."""

from __future__ import annotations

import asyncio
import sys


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Copy one direction, each piece `delay` seconds late but without holding up the next."""
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def read() -> None:
        data = b"-"
        while data:
            data = await reader.read(65536)
            pieces.put_nowait((loop.time() + delay, data))

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        while True:
            due, data = await pieces.get()
            await asyncio.sleep(due - loop.time())
            if not data:
                break
            writer.write(data)
            await writer.drain()
    writer.write_eof()


async def serve(listen: int, target: int, delay: float) -> None:
    """Accept connections for ever, each passed on to `target`."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
            try:
                await asyncio.gather(_pump(reader, far_writer, delay), _pump(far_reader, writer, delay))
            finally:
                far_writer.close()
        except (OSError, ExceptionGroup):
            return  # either side hung up, as peers do
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "0.0.0.0", listen)  # noqa: S104 (in the host's own namespace)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) / 1000))
