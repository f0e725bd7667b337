"""The origin: an API that is slow, large, broken and changing, as its paths say.

    /KIND/NUMBER?l=SECONDS    what it does, which one, and the lifetime it names

A body repeats its path, so that a viewer can tell whose it is.
"""

import asyncio
import collections
import zlib

# The sizes of bodies, in bytes; a path has always the same.
SIZES = (120, 1_000, 3_000, 9_000, 30_000, 90_000, 250_000, 700_000)
LARGE_BYTES = 4 << 20
LANGUAGES = ("de", "en", "fr")

served = collections.Counter()


def kind(path):
    """The first segment of a path."""
    return path.split("/", 2)[1]


def body_of(path):
    """What the origin answers for a path."""
    line = (path + "\n").encode()
    size = LARGE_BYTES if kind(path) == "large" else SIZES[zlib.crc32(line) % len(SIZES)]
    return (line * (size // len(line) + 1))[:size]


async def serve(reader, writer):
    """Serves one connection of the edge's until either has enough."""
    try:
        while await answer(reader, writer):
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
        pass
    finally:
        writer.transport.abort()


async def answer(reader, writer):
    """Answers a request; false when the connection ends with it."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    fields = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    await reader.readexactly(int(fields.get("content-length", 0)))
    path, _, query = target.partition("?")
    what = kind(path)
    served[what] += 1
    lifetime = int(query.partition("l=")[2] or 0)
    body = body_of(path)
    lines = [f"Cache-Control: max-age={lifetime}", f"Cache-Tag: t{len(body)}"]
    status = "200 OK"
    if what == "slow":
        await asyncio.sleep(0.2 + zlib.crc32(path.encode()) % 20 / 10)
    if what == "refused":
        return False
    if what == "error":
        status, lines = "500 Internal Server Error", ["Cache-Control: no-store"]
    if what in ("private", "posted"):
        lines = ["Cache-Control: private"]
    if what == "vary":
        body = body_of(path + "/" + fields.get("accept-language", "en"))
        lines.append("Vary: Accept-Language")
    if what == "tagged":
        tag = f'"{zlib.crc32(path.encode()):x}"'
        lines.append(f"ETag: {tag}")
        if fields.get("if-none-match") == tag:
            writer.write(said("304 Not Modified", lines))
            return True
    if what == "chunked":
        writer.write(said(status, [*lines, "Transfer-Encoding: chunked"]))
        for at in range(0, len(body), 16_384):
            part = body[at : at + 16_384]
            writer.write(b"%x\r\n%s\r\n" % (len(part), part))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        return True
    writer.write(said(status, [*lines, f"Content-Length: {len(body)}"]))
    if method == "HEAD":
        return True
    if what == "cut":
        writer.write(body[: len(body) // 2])
        await writer.drain()
        return False
    for at in range(0, len(body), 65_536):
        writer.write(body[at : at + 65_536])
        await writer.drain()
    return True


def said(status, lines):
    """A head."""
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "Content-Type: text/plain", "", ""]).encode()
