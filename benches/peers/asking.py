"""A few requests by hand: to warm a cache, to ask the origin what it served, to hold connections."""

import socket
import time

# What every request names, so that all of them mean the same object.
HOST = "bench.test"


def connect(port):
    """A connection to 127.0.0.1 that does not wait to fill its packets."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def ask(connection, path):
    """Sends a GET and reads the whole answer; its body. Errs on any status but 200."""
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    received = b""
    while b"\r\n\r\n" not in received:
        received += more(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").lower().split("\r\n")
    if not lines[0].startswith("http/1.1 200"):
        raise RuntimeError(f"{path}: {lines[0]}")
    fields = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
    if "content-length" in fields:
        while len(body) < int(fields["content-length"]):
            body += more(connection)
        return body
    while not body.endswith(b"0\r\n\r\n"):
        body += more(connection)
    return body


def more(connection):
    received = connection.recv(1 << 18)
    if not received:
        raise ConnectionError("the server closed the connection")
    return received


def get(port, *paths):
    """Asks for each of `paths` over one connection; the last body."""
    body = b""
    with connect(port) as connection:
        for path in paths:
            body = ask(connection, path)
    return body


def wait(port, path, seconds):
    """Returns once `path` is answered; errs after so many seconds."""
    until = time.monotonic() + seconds
    while True:
        try:
            return get(port, path)
        except (OSError, RuntimeError) as error:
            if time.monotonic() > until:
                raise RuntimeError(f"port {port} does not answer: {error}") from error
            time.sleep(0.1)
