"""Measures the CPU time of a hit for one worker, for two that share nothing, and for two of one process; see README.md."""

import argparse
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "peers"))

import asking
import peers
import processes
from workloads import URLS, requests_of_h2load, url

CPUS = (0, 1)
# Of each generator: enough that the kernel deals them out nearly evenly.
CONNECTIONS = 32
# Two workers of one process may cost so much of what two without anything in common do: then two cores do 1.8 times as much as one.
MOST = 2 / 1.8

# How each way runs: processes, and the workers of each.
WAYS = {"one worker": (1, 1), "two processes": (2, 1), "two workers": (1, 2)}
HITS = {"one URL": ["/1k/one"], "10,000 URLs": [url(number) for number in range(URLS)]}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=20_000, help="hits a second, of all workers together")
    parser.add_argument("--rounds", type=int, default=6, help="how often each is measured")
    parser.add_argument("--seconds", type=int, default=4, help="how long each time")
    arguments = parser.parse_args()
    if len(os.sched_getaffinity(0)) < len(CPUS):
        parser.error("two CPUs are needed")
    samples = {(hits, way): [] for hits in HITS for way in WAYS}
    with peers.ground(os.environ["WARMFRONT_TARGET"]) as ground:
        for round_ in range(arguments.rounds):
            for hits, way in samples:
                cpu_us = measured(ground, WAYS[way], HITS[hits], arguments)
                samples[hits, way].append(cpu_us)
                print(f"round {round_ + 1}  {hits}  {way}  {cpu_us:.2f} µs", flush=True)
    print(table(samples, arguments))


def measured(ground, way, paths, arguments):
    """The CPU time that a hit costs the edge, in microseconds."""
    processes_, workers = way
    running = []
    with contextlib.ExitStack() as stack:
        stack.callback(processes.stop, running)
        sockets = listening(stack, processes_ * workers)
        port = sockets[0].getsockname()[1]
        for number in range(processes_):
            own = sockets[number * workers : (number + 1) * workers]
            edge(ground, number, workers, port, own, paths, running)
        place(running)
        for each in sockets:
            each.close()
        served = int(asking.get(ground.origin_port, "/count"))
        list_ = ground.folder / "urls"
        list_.write_text("".join(f"http://127.0.0.1:{port}{path}\n" for path in paths))
        with_load(list_, arguments.rate, 1)
        before = processes.cpu_seconds(running)
        requests = with_load(list_, arguments.rate, arguments.seconds)
        spent = processes.cpu_seconds(running) - before
        if int(asking.get(ground.origin_port, "/count")) != served:
            raise RuntimeError("hits reached the origin")
        if requests < 0.9 * arguments.rate * arguments.seconds:
            raise RuntimeError(f"only {requests} requests: this machine does not do {arguments.rate} a second")
        return spent / requests * 1e6


def listening(stack, count):
    """So many sockets that listen at one port, among which the kernel deals out connections."""
    sockets = []
    for _ in range(count):
        one = stack.enter_context(socket.socket())
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(("127.0.0.1", sockets[0].getsockname()[1] if sockets else 0))
        sockets.append(one)
    for one in sockets:
        one.listen(1024)
    return sockets


def edge(ground, number, workers, port, sockets, paths, running):
    """Starts an edge of so many workers at `sockets`, as a service manager does, with `paths` in its store."""
    (aside,) = peers.ports(ground.target, 1)
    # It is warmed at a port of its own. There is no other door: that would be another thread's work.
    config = ground.folder / f"{number}.toml"
    config.write_text(f"""
        [server]
        workers = {workers}
        [[listener]]
        address = "127.0.0.1:{port}"
        [[listener]]
        address = "127.0.0.1:{aside}"
        [[origin]]
        id = "origin"
        url = "http://127.0.0.1:{ground.origin_port}"
        [[distribution]]
        id = "scaling"
        [[distribution.behaviour]]
        path = "*"
        origin = "origin"
        """)
    fds = [one.fileno() for one in sockets]
    # The first lands at 3: whatever is there or follows is moved out of the way before.
    moves = [f"exec {at + 100}<&{fd}" for at, fd in enumerate(fds)] + [f"exec {at + 3}<&{at + 100}" for at in range(len(fds))]
    script = "; ".join([*moves, f"export LISTEN_FDS={len(fds)} LISTEN_PID=$$", 'exec "$@"'])
    with open(ground.folder / "output.log", "ab") as output:
        running.append(
            subprocess.Popen(
                ["bash", "-c", script, "bash", f"{ground.target}/warmfront", "run", "--config", str(config)],
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=fds,
            )
        )
    asking.wait(aside, "/1k/ready", 30)
    asking.get(aside, *paths)


def place(running):
    """Gives every worker a CPU of its own, as far as there are so many."""
    free = list(CPUS)
    for process in running:
        for task in sorted(Path(f"/proc/{process.pid}/task").iterdir()):
            if (task / "comm").read_text().startswith("worker-"):
                os.sched_setaffinity(int(task.name), {free.pop(0)})


def with_load(list_, rate, seconds):
    """Asks for what `list_` names over and over at the rate, for so long; how many answers there were."""
    each = rate // (len(CPUS) * CONNECTIONS)
    # Its own field, since it would name the address: what was warmed is another host's.
    command = ["h2load", "--h1", f"-c{CONNECTIONS}", f"--rps={each}", f"-D{seconds}", f"-i{list_}"]
    command += ["-H", f":authority: {asking.HOST}"]
    started = [
        subprocess.Popen(["taskset", "-c", str(cpu), *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for cpu in CPUS
    ]
    return sum(requests_of_h2load(process.communicate(timeout=60)[0]) for process in started)


def table(samples, arguments):
    """Medians, and the medians of each round's ratios."""
    rows = [f"CPU µs a hit of 1 KiB at {arguments.rate:,} hits/s, {arguments.rounds} rounds of {arguments.seconds} s:", ""]
    rows += [f"| | {' | '.join(WAYS)} | two workers : one | two workers : two processes |", f"|---|{'--:|' * (len(WAYS) + 2)}"]
    for hits in HITS:
        of = {way: samples[hits, way] for way in WAYS}
        ratios = [
            statistics.median(two / other for two, other in zip(of["two workers"], of[base]))
            for base in ("one worker", "two processes")
        ]
        cells = [f"{statistics.median(of[way]):.2f}" for way in WAYS] + [f"{ratio:.2f}" for ratio in ratios]
        rows.append(f"| {hits} | {' | '.join(cells)} |")
    rows += ["", f"At most {MOST:.2f} is what two workers that do 1.8 times as much as one cost."]
    return "\n".join(rows)


if __name__ == "__main__":
    main()
