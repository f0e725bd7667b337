"""Requests and replies as viewers exchange them, over HTTP/1.1 and HTTP/2."""

import asyncio
import collections
import struct

# How long a viewer waits for anything, in seconds.
WAIT_MAX = 30

Reply = collections.namedtuple("Reply", "status body whole fields")


class Http1:
    """A connection that asks one thing at a time."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port, tls=None):
        """Connects; with TLS when a context is given."""
        name = "localhost" if tls else None
        async with asyncio.timeout(WAIT_MAX):
            return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name))

    def send(self, method, target, fields=(), body=b""):
        """Sends a request."""
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *fields]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + body)

    async def ask(self, method, target, fields=(), body=b""):
        """Sends a request and reads the reply; one that broke off is not whole."""
        async with asyncio.timeout(WAIT_MAX):
            self.send(method, target, fields, body)
            return await self.reply(method)

    async def reply(self, method):
        """Reads a reply."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(head[0].split(" ")[1])
        fields = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        if method == "HEAD" or status in (204, 304):
            return Reply(status, b"", True, fields)
        try:
            if fields.get("transfer-encoding") == "chunked":
                return Reply(status, await self.chunks(), True, fields)
            body = await self.reader.readexactly(int(fields["content-length"]))
            return Reply(status, body, True, fields)
        except asyncio.IncompleteReadError as broken:
            return Reply(status, broken.partial, False, fields)

    async def chunks(self):
        """Reads a chunked body."""
        parts = []
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            parts.append(await self.reader.readexactly(size))
            await self.reader.readexactly(2)
        await self.reader.readexactly(2)
        return b"".join(parts)

    def close(self):
        """Ends the connection at once, whatever is on its way."""
        self.writer.transport.abort()


class Http2:
    """A connection that asks several things at once, each in a stream of its own."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.stream = 1
        # SETTINGS with the largest initial window, and the same for the connection.
        window = struct.pack(">HI", 4, 2**31 - 1)
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, window))
        writer.write(frame(8, 0, 0, struct.pack(">I", 2**31 - 1 - 65_535)))

    @classmethod
    async def open(cls, port, tls):
        """Connects; the context offers h2."""
        async with asyncio.timeout(WAIT_MAX):
            connected = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname="localhost")
        return cls(*connected)

    async def ask(self, targets):
        """Asks for all targets at once; the replies in their order. A reset one is not whole.

        Of the status only what HPACK's static table holds is read; others are 0.
        """
        asked = {}
        for target in targets:
            asked[self.stream] = Reply(0, b"", False, {})
            literals = b"".join(
                bytes((name, len(value))) + value for name, value in ((1, b"localhost"), (4, target.encode()))
            )
            self.writer.write(frame(1, 5, self.stream, b"\x82\x87" + literals))
            self.stream += 2
        open_ = set(asked)
        async with asyncio.timeout(WAIT_MAX):
            while open_:
                kind, flags, stream, payload = await self.frame()
                reply = asked.get(stream)
                if kind == 0 and reply:
                    asked[stream] = reply._replace(body=reply.body + payload)
                if kind == 1 and reply:
                    statuses = {0x88: 200, 0x8B: 304, 0x8D: 404, 0x8E: 500}
                    # The encoder may first say how large its table is.
                    at = next(at for at, byte in enumerate(payload) if byte >> 5 != 1)
                    asked[stream] = reply._replace(status=statuses.get(payload[at], 0))
                if kind in (0, 1) and flags & 1:
                    asked[stream] = asked[stream]._replace(whole=True)
                    open_.discard(stream)
                if kind == 3:
                    open_.discard(stream)
                if kind == 7:
                    raise OSError("GOAWAY")
        return [asked[stream] for stream in sorted(asked)]

    async def frame(self):
        """Reads a frame, and answers it where it asks for that."""
        head = await self.reader.readexactly(9)
        length, kind, flags, stream = int.from_bytes(head[:3]), head[3], head[4], int.from_bytes(head[5:])
        payload = await self.reader.readexactly(length)
        if kind in (4, 6) and not flags & 1:
            self.writer.write(frame(kind, 1, 0, payload if kind == 6 else b""))
        if kind == 0 and length:
            self.writer.write(frame(8, 0, 0, struct.pack(">I", length)))
        return kind, flags, stream, payload

    def close(self):
        """Ends the connection at once."""
        self.writer.transport.abort()


def frame(kind, flags, stream, payload):
    """A frame of HTTP/2 (RFC 9113 §4.1)."""
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload
