"""Processes: started on one CPU, measured, and stopped with all their children."""

import os
import re
import signal
import subprocess
import time

SERVER_CPU, LOAD_CPU = 0, 1
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def start(cpu, command, log):
    """Starts `command` on `cpu`, in a session of its own, its output appended to the file `log`."""
    with open(log, "ab") as output:
        return subprocess.Popen(
            ["taskset", "-c", str(cpu), *command], stdout=output, stderr=output, start_new_session=True
        )


def run(command):
    """Runs a load generator to its end; its output."""
    done = subprocess.run(
        ["taskset", "-c", str(LOAD_CPU), *command], capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def tree(roots):
    """The ids of the processes `roots` and everything they started."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := stat(entry)):
            children.setdefault(int(fields[1]), []).append(int(entry))
    found, open_ = [], [root.pid for root in roots]
    while open_:
        pid = open_.pop()
        found.append(pid)
        open_ += children.get(pid, [])
    return found


def stat(pid):
    """The fields of /proc/PID/stat after the name; nothing when the process is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def cpu_seconds(roots):
    """User and system time of `roots` and their descendants so far."""
    times = (stat(pid)[11:13] for pid in tree(roots))
    return sum(int(user) + int(system) for user, system in filter(None, times)) / TICKS_PER_SECOND


def memory_bytes(roots):
    """Their proportional set size: a page that several share counts once."""
    total = 0
    for pid in tree(roots):
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                found = re.search(r"^Pss:\s+(\d+) kB", file.read(), re.M)
        except OSError:
            continue
        total += int(found[1]) * 1024 if found else 0
    return total


def stop(roots):
    """Ends `roots` and their descendants: asked at first, then made to."""
    pids = tree(roots)
    for how, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        for pid in pids:
            try:
                os.kill(pid, how)
            except ProcessLookupError:
                pass
        until = time.monotonic() + patience
        while time.monotonic() < until:
            for root in roots:
                root.poll()
            pids = [pid for pid in pids if (fields := stat(pid)) and fields[0] != "Z"]
            if not pids:
                break
            time.sleep(0.05)
    for root in roots:
        root.wait()
