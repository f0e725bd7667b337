"""Runs a mixed load against a small edge, and judges what it holds: soak.py --minutes N WARMFRONT."""

import argparse
import asyncio
import random
import re
import resource
import socket
import ssl
import subprocess
import sys
import tempfile
import time

import exchanges
import operators
import origin
import viewers
import watch

# Small, so that something is evicted all the time; an answer of 4 MiB passes without being stored.
MEMORY_MIB, OBJECT_MAX_MIB = 32, 1
# How often the process is looked at, in seconds.
LOOK_EVERY = 5
# How long the edge has for what is left once the load is gone, in seconds.
QUIET = 15

CONFIG = """
[server]
workers = 2
[cache]
memory = "{memory}MiB"
object_max = "{object_max}MiB"
[admin]
address = "127.0.0.1:{admin}"
journal = "{folder}/journal"
[[admin.token]]
name = "soak"
secret = "{token}"
allow = ["invalidate", "read", "reload"]
[[admin.aws_key]]
id = "{aws_id}"
secret = "{aws_secret}"
[[listener]]
address = "127.0.0.1:{plain}"
[[listener]]
address = "127.0.0.1:{tls}"
tls = true
[[certificate]]
chain = "{folder}/chain.pem"
key = "{folder}/key.pem"
[[origin]]
id = "origin"
url = "http://127.0.0.1:{origin}"
[[distribution]]
id = "soak"
[[distribution.behaviour]]
path = "/posted/*"
origin = "origin"
cache = false
[[distribution.behaviour]]
path = "*"
origin = "origin"
ttl.error = "{error_ttl}s"
stale.while_revalidate = "2s"
"""


def free_ports(count):
    """Ports that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def certificate(folder):
    """Writes a certificate for `localhost`; contexts that trust it, for HTTP/1.1 and HTTP/2."""
    chain, key = f"{folder}/chain.pem", f"{folder}/key.pem"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    subprocess.run(
        [*make.split(), "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", chain],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    contexts = []
    for protocol in ("http/1.1", "h2"):
        context = ssl.create_default_context(cafile=chain)
        context.set_alpn_protocols([protocol])
        contexts.append(context)
    return contexts


async def until_ready(process, admin):
    """Waits until the edge serves."""
    for _ in range(200):
        if process.poll() is not None:
            sys.exit(f"the edge ended with {process.returncode}")
        try:
            if (await operators.call(admin, "GET", "/health/ready", [])).status == 200:
                return
        except OSError:
            pass
        await asyncio.sleep(0.1)
    sys.exit("the edge does not become ready")


async def looking(pid, admin, began, samples):
    """Takes a sample every few seconds, and prints it."""
    while True:
        await asyncio.sleep(LOOK_EVERY)
        samples.append(await look(pid, admin, began))
        print(watch.line(samples[-1]), flush=True)


async def look(pid, admin, began):
    """Takes a sample."""
    metrics = (await operators.call(admin, "GET", "/metrics", [])).body.decode()
    return watch.sample(pid, time.monotonic() - began, metrics)


async def soak(warmfront, minutes, folder):
    """The whole run; what is wrong."""
    plain, tls, admin = free_ports(3)
    server = await asyncio.start_server(origin.serve, "127.0.0.1", 0, backlog=1_024)
    file = f"{folder}/warmfront.toml"

    def config(number):
        return CONFIG.format(
            memory=MEMORY_MIB,
            object_max=OBJECT_MAX_MIB,
            folder=folder,
            admin=admin,
            plain=plain,
            tls=tls,
            origin=server.sockets[0].getsockname()[1],
            token=operators.TOKEN,
            aws_id=operators.AWS_ID,
            aws_secret=operators.AWS_SECRET,
            error_ttl=number % 3,
        )

    with open(file, "w", encoding="utf-8") as out:
        out.write(config(1))
    http1, http2 = certificate(folder)
    with open(f"{folder}/log", "wb") as log:
        process = subprocess.Popen([warmfront, "run", "--config", file], stdout=log, stderr=log)
    try:
        await until_ready(process, admin)
        began, samples = time.monotonic(), []
        before = await look(process.pid, admin, began)
        print(watch.HEAD, watch.line(before), sep="\n", flush=True)
        load = [
            *viewers.all_of_them(plain, tls, http1, http2),
            operators.invalidating(admin),
            operators.invalidating_as_aws(admin),
            operators.reloading(process.pid, file, config),
            looking(process.pid, admin, began, samples),
        ]
        load = [asyncio.create_task(one) for one in load]
        done, _ = await asyncio.wait(load, timeout=minutes * 60, return_when=asyncio.FIRST_EXCEPTION)
        for task in load:
            task.cancel()
        await asyncio.gather(*load, return_exceptions=True)
        for task in done:
            task.result()
        await asyncio.sleep(QUIET)
        after = await look(process.pid, admin, began)
        print(watch.line(after), "(a while after the load)")
        metrics = (await operators.call(admin, "GET", "/metrics", [])).body.decode()
        wrong = watch.verdict(samples, before, after, MEMORY_MIB << 20)
    finally:
        process.terminate()
        ended = process.wait(60)
    if ended != 0:
        wrong.append(f"the edge ended with {ended}")
    return samples, metrics, wrong + judged(metrics, folder)


def judged(metrics, folder):
    """What is wrong with what was asked and answered."""
    wrong = [f"{count} times: {what}" for what, count in viewers.failures.items()]
    if not re.search(r"^warmfront_panics_total(\{\})? 0$", metrics, re.M):
        wrong.append("the edge panicked, or does not say")
    if value(metrics, "warmfront_cache_evictions_total") == 0:
        wrong.append("nothing was evicted: the load is too small to say anything")
    if value(metrics, "warmfront_config_generation") <= viewers.counts["reload"] // 2:
        wrong.append("reloads did not take effect")
    if wrong:
        with open(f"{folder}/log", encoding="utf-8", errors="replace") as log:
            print("the edge's last words:", *log.readlines()[-20:], sep="\n")
    return wrong


def value(metrics, name):
    """The sum of a metric's series."""
    return sum(float(number) for number in re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)", metrics, re.M))


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("warmfront")
    arguments.add_argument("--minutes", type=float, default=10)
    arguments.add_argument("--seed", type=int, default=1)
    arguments = arguments.parse_args()
    random.seed(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        samples, metrics, wrong = asyncio.run(soak(arguments.warmfront, arguments.minutes, folder))
    print("\nrequests", *(f"{count:9}  {what}" for what, count in sorted(viewers.counts.items())), sep="\n")
    print("origin", *(f"{count:9}  {what}" for what, count in sorted(origin.served.items())), sep="\n")
    for name in ("cache_evictions_total", "invalidations_total", "config_generation"):
        print(f"{value(metrics, 'warmfront_' + name):9.0f}  {name}")
    print(f"{max(one.accounted for one in samples) / 2**20:9.1f}  MiB the store accounted for at most, of {MEMORY_MIB}")
    for name in ("rss", "pss"):
        print(f"{watch.growth(samples, name) / 2**20:9.1f}  MiB {name} grew by in the second half")
    print(*(f"WRONG: {one}" for one in wrong), sep="\n")
    print("not as it should be" if wrong else "all is as it should be")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    # Besides its viewers, each with a connection, it holds the origin's side of the edge's.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    main()
