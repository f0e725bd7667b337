"""Viewers: those who wait, those who leave, those who sleep, and those who read slowly."""

import asyncio
import collections
import random
import socket
import struct

import exchanges
import origin

# Everything that is asked for: its kind, how many there are, how often it is asked.
KINDS = {
    "fresh": (3_000, 50),
    "tagged": (400, 12),
    "vary": (200, 6),
    "chunked": (400, 6),
    "slow": (200, 5),
    "private": (50, 5),
    "posted": (20, 3),
    "large": (6, 0.5),
    "cut": (40, 1),
    "refused": (40, 1),
    "error": (40, 2),
}
# What these kinds answer, and whether it is whole; others answer 200. A stream of HTTP/2 that is
# reset may lose the head that was on its way.
PROVOKED = {"refused": {(502, True)}, "error": {(500, True)}, "cut": {(200, False), (502, True), (502, False)}}

counts = collections.Counter()
failures = collections.Counter()


def target():
    """What somebody asks for next: few things often, many things seldom."""
    kinds = list(KINDS)
    kind = random.choices(kinds, [KINDS[kind][1] for kind in kinds])[0]
    number = int(KINDS[kind][0] * random.random() ** 3)
    lifetime = 1 + (number * 7) % 60
    return f"/{kind}/{number}", f"/{kind}/{number}?l={lifetime}"


def check(who, path, language, reply):
    """Counts a reply, and what is wrong with it."""
    kind = origin.kind(path)
    counts[f"{who} {kind}"] += 1
    status = 502 if reply.status == 0 and kind in PROVOKED else reply.status
    expected = PROVOKED.get(kind, {(200, True)})
    if (status, reply.whole) not in expected:
        failures[f"{who} {kind}: {reply.status}, {'whole' if reply.whole else 'cut'}"] += 1
        return
    if status == 200:
        body = origin.body_of(f"{path}/{language}" if kind == "vary" else path)
        if reply.body != body[: len(reply.body)] or reply.whole and len(reply.body) != len(body):
            failures[f"{who} {kind}: another body"] += 1


async def patient(who, port, tls):
    """Asks and reads, on connections that last for some requests; over HTTP/1.1."""
    while True:
        connection = await exchanges.Http1.open(port, tls)
        try:
            for _ in range(random.randint(1, 200)):
                path, asked = target()
                language = random.choice(origin.LANGUAGES)
                fields = [f"Accept-Language: {language}", "Accept-Encoding: identity"]
                post = origin.kind(path) == "posted"
                body = b"x" * random.choice((1, 9_000)) if post else b""
                reply = await connection.ask("POST" if post else "GET", asked, fields, body)
                check(who, path, language, reply)
                if not reply.whole or reply.fields.get("connection") == "close":
                    break
                await asyncio.sleep(random.expovariate(50))
        finally:
            connection.close()


async def parallel(who, port, tls):
    """Asks for several things at once, over HTTP/2."""
    while True:
        connection = await exchanges.Http2.open(port, tls)
        try:
            for _ in range(random.randint(1, 50)):
                asked = [target() for _ in range(random.randint(1, 8))]
                # The other kinds say more than this viewer's requests can.
                asked = [(path, url) for path, url in asked if origin.kind(path) not in ("posted", "vary")]
                replies = await connection.ask([url for _, url in asked])
                for (path, _), reply in zip(asked, replies):
                    check(who, path, "en", reply)
                await asyncio.sleep(random.expovariate(20))
        finally:
            connection.close()


async def leaving(who, port, tls):
    """Asks and leaves: at once, while it waits, or in the midst of the answer."""
    while True:
        connection = await exchanges.Http1.open(port, tls)
        if random.random() < 0.5:
            # With an RST, not a FIN.
            raw = connection.writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.send("GET", target()[1])
        await asyncio.sleep(random.choice((0, 0, 0.02, 0.3)))
        if random.random() < 0.5:
            async with asyncio.timeout(exchanges.WAIT_MAX):
                await connection.reader.read(random.choice((1, 20_000)))
        connection.close()
        counts[who] += 1
        await asyncio.sleep(random.expovariate(5))


async def idle(who, port, tls):
    """Asks once and stays; some have not even asked."""
    while True:
        connection = await exchanges.Http1.open(port, tls)
        try:
            if random.random() < 0.8:
                await connection.ask("GET", "/fresh/1?l=60", ["Accept-Encoding: identity"])
            counts[who] += 1
            await asyncio.sleep(random.uniform(5, 60))
        finally:
            connection.close()


async def slow(who, port, tls):
    """Reads a large answer a little at a time, and seldom to its end."""
    while True:
        connection = await exchanges.Http1.open(port, tls)
        try:
            connection.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            connection.send("GET", f"/large/{random.randrange(6)}?l=30")
            for _ in range(random.randint(1, 200)):
                async with asyncio.timeout(exchanges.WAIT_MAX):
                    if not await connection.reader.read(8_192):
                        break
                await asyncio.sleep(0.1)
            counts[who] += 1
        finally:
            connection.close()


async def lasting(viewer, who, port, tls):
    """Runs a viewer again and again; what breaks a connection off is a failure."""
    while True:
        try:
            await viewer(who, port, tls)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as broken:
            failures[f"{who}: {type(broken).__name__} {broken}"[:100]] += 1
            await asyncio.sleep(0.5)


def all_of_them(port, tls_port, http1, http2):
    """Every viewer, to be run at the same time."""
    crowd = [
        (patient, "plain", port, None, 12),
        (patient, "tls", tls_port, http1, 4),
        (parallel, "h2", tls_port, http2, 4),
        (leaving, "leaving", port, None, 4),
        (leaving, "leaving tls", tls_port, http1, 2),
        (idle, "idle", port, None, 60),
        (idle, "idle tls", tls_port, http1, 20),
        (slow, "slow", port, None, 4),
    ]
    return [lasting(viewer, who, at, tls) for viewer, who, at, tls, many in crowd for _ in range(many)]
