"""What is measured: each workload asks one candidate for something and says what that cost."""

import re
import resource
import time

import asking
import processes

CONNECTIONS_IDLE = 5_000
OBJECTS = 100_000
HERD = 500
URLS = 10_000
RATE = 5_000
HANDSHAKES = 500

# Which numbers a workload yields, as (name in the sample, title).
CPU = [("cpu_us", "CPU µs a request"), ("rate", "requests/s")]


def url(number):
    """One of the URLs of `hit-10k`: a search, its parameters in an order of their own."""
    return f"/1k/search?zip={number % 89}&term=t{number}&page={number % 7}"


SCRIPT = """
local number, count, path = 0, {count}, "{path}"
request = function()
  number = number + 1
  local n = number % count
  return wrk.format("GET", {expression})
end
"""


class Workloads:
    """The workloads, by name; `target` is where the built programs are."""

    def __init__(self, ground, seconds):
        self.ground, self.seconds = ground, seconds
        self.unique = 0

    def served(self):
        """How many requests the origin has served."""
        return int(asking.get(self.ground.origin_port, "/count"))

    def load(self, candidate, command, requests_in):
        """Runs `command` and divides the CPU time that it costs the candidate."""
        served, before = self.served(), processes.cpu_seconds(candidate.running)
        began = time.monotonic()
        output = processes.run(command)
        took = time.monotonic() - began
        spent = processes.cpu_seconds(candidate.running) - before
        requests = requests_in(output)
        return {
            "cpu_us": spent / requests * 1e6,
            "rate": requests / took,
            "requests": requests,
            "origin": self.served() - served,
        }

    def wrk(self, candidate, path, *options, secure=False, script=None, warm=False):
        """wrk's sample; with `warm`, of a second run after one that is not measured."""
        port = candidate.tls_port if secure else candidate.port
        if script:
            name = self.ground.folder / "requests.lua"
            name.write_text(script)
            options += ("-s", str(name))
        base = f"{'https' if secure else 'http'}://127.0.0.1:{port}"
        command = ["wrk", "-t1", "-c64", "-H", f"Host: {asking.HOST}", *options, base + path]
        if warm:
            processes.run([*command, "-d1s"])
        return self.load(candidate, [*command, f"-d{self.seconds}s"], requests_of_wrk)

    def hits(self, candidate, path, *options, secure=False, script=None, warm=()):
        """Hits must not reach the origin: that is counted, not believed."""
        if warm:
            asking.get(candidate.port, *warm)
        sample = self.wrk(candidate, path, *options, secure=secure, script=script, warm=True)
        if sample["origin"] > max(2, sample["requests"] // 10_000):
            raise RuntimeError(f"{candidate.name}: {sample['origin']} of {sample['requests']} reached the origin")
        return sample

    def hit_1k(self, candidate):
        return self.hits(candidate, "/1k/one")

    def hit_10k(self, candidate):
        warm = [url(number) for number in range(URLS)]
        expression = '"/1k/search?zip=" .. n % 89 .. "&term=t" .. n .. "&page=" .. n % 7'
        script = SCRIPT.format(count=URLS, path="", expression=expression)
        return self.hits(candidate, "/", script=script, warm=warm)

    def hit_16k(self, candidate):
        return self.hits(candidate, "/16k/one")

    def hit_256k(self, candidate):
        return self.hits(candidate, "/256k/one")

    def tls(self, candidate):
        return self.hits(candidate, "/1k/one", secure=True)

    def handshake(self, candidate):
        """A new TLS connection for every request, nothing resumed, so many a second as anyone can."""
        count = HANDSHAKES * self.seconds
        command = ["h2load", "--h1", f"-n{count}", f"-c{count}", f"-r{HANDSHAKES // 10}", "--rate-period=100ms"]
        command.append(f"https://127.0.0.1:{candidate.tls_port}/1k/one")
        processes.run(command)
        return self.load(candidate, command, requests_of_h2load)

    def h2(self, candidate):
        command = ["h2load", "-c16", "-m10", "-H", f":authority: {asking.HOST}"]
        command.append(f"https://127.0.0.1:{candidate.tls_port}/1k/one")
        processes.run([*command, "-D1"])
        return self.load(candidate, [*command, f"-D{self.seconds}"], requests_of_h2load)

    def passing(self, candidate):
        sample = self.wrk(candidate, "/pass/1k/one")
        if sample["origin"] < sample["requests"]:
            raise RuntimeError(f"{candidate.name}: {sample['requests'] - sample['origin']} were not passed on")
        return sample

    def miss(self, candidate):
        """Every URL for the first time: fetched, stored, answered."""
        self.unique += 1
        path = f"/1k/miss{self.unique}?n="
        script = SCRIPT.format(count=1 << 40, path=path, expression="path .. n")
        return self.wrk(candidate, "/", script=script)

    def latency(self, candidate):
        """Hits at a fixed rate far below what anyone can do."""
        log = self.ground.folder / "latency.log"
        log.unlink(missing_ok=True)
        url = f"http://127.0.0.1:{candidate.port}/1k/one"
        processes.run(["h2load", "--h1", "-n1000", "-c10", url])
        processes.run(
            ["h2load", "--h1", "-c50", f"--rps={RATE // 50}", f"-n{RATE * self.seconds}", f"--log-file={log}", url]
        )
        took = sorted(int(line.split("\t")[2]) for line in log.read_text().splitlines())
        return {"p50_us": took[len(took) // 2], "p99_us": took[len(took) * 99 // 100]}

    def herd(self, candidate):
        self.unique += 1
        served = self.served()
        program = f"{self.ground.target}/examples/load"
        path = f"/slow/{candidate.name}{self.unique}"
        said = processes.run([program, "herd", f"127.0.0.1:{candidate.port}", path, str(HERD)])
        # The connections are warmed with a request each, for one object more.
        return {"origin": self.served() - served - 1, "last_ms": float(re.search(r"last_ms=([\d.]+)", said)[1])}

    def memory(self, candidate):
        """What the process takes at rest, then with idle connections, then with objects."""
        rest = processes.memory_bytes(candidate.running)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, CONNECTIONS_IDLE + 100)), hard))
        open_ = []
        try:
            for _ in range(CONNECTIONS_IDLE):
                open_.append(asking.connect(candidate.port))
                asking.ask(open_[-1], "/1k/one")
            connected = processes.memory_bytes(candidate.running)
        finally:
            for connection in open_:
                connection.close()
        time.sleep(1)
        before = processes.memory_bytes(candidate.running)
        program = f"{self.ground.target}/examples/load"
        processes.run([program, "fill", f"127.0.0.1:{candidate.port}", str(OBJECTS)])
        filled = processes.memory_bytes(candidate.running)
        return {
            "rest_kb": rest / 1024,
            "connection_bytes": (connected - rest) / CONNECTIONS_IDLE,
            "object_bytes": (filled - before) / OBJECTS,
        }


WORKLOADS = {
    "hit-1k": (Workloads.hit_1k, "a hit of 1 KiB", CPU),
    "hit-10k": (Workloads.hit_10k, "hits over 10,000 URLs", CPU),
    "hit-16k": (Workloads.hit_16k, "a hit of 16 KiB", CPU),
    "hit-256k": (Workloads.hit_256k, "a hit of 256 KiB", CPU),
    "pass": (Workloads.passing, "passed to the origin", CPU),
    "miss": (Workloads.miss, "fetched and stored", CPU),
    "tls": (Workloads.tls, "a hit of 1 KiB over TLS 1.3", CPU),
    "h2": (Workloads.h2, "a hit of 1 KiB over HTTP/2", CPU),
    "handshake": (Workloads.handshake, "a TLS handshake and a hit", CPU),
    "latency": (Workloads.latency, "5,000 hits/s", [("p50_us", "p50 µs"), ("p99_us", "p99 µs")]),
    "herd": (Workloads.herd, "500 at once, cold", [("origin", "origin requests"), ("last_ms", "last answer ms")]),
    "memory": (
        Workloads.memory,
        "memory",
        [("rest_kb", "at rest KB"), ("connection_bytes", "bytes an idle connection"), ("object_bytes", "bytes a 1 KiB object")],
    ),
}


def requests_of_wrk(output):
    if "Non-2xx" in output or "Socket errors" in output:
        raise RuntimeError(output)
    return int(re.search(r"(\d+) requests in", output)[1])


def requests_of_h2load(output):
    done = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", output)
    if int(done[2]) + int(done[3]):
        raise RuntimeError(output)
    return int(done[1])
