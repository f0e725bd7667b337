"""What the process holds, and whether that stays as it is."""

import collections
import os
import re
import statistics

# What the second half of a run may add to the process's memory, by its slope, in bytes. It is a
# bound on leaks and on fragments: an hour's slope may be a sixth of ten minutes'.
GROWTH_MAX = 6 << 20
# How far the store may account for more than `cache.memory`, as a factor.
OVERDRAWN_MAX = 1.05
# How full of it, as a factor, the store must still be at some time in the last quarter: it keeps
# seven eighths, and what is invalidated meanwhile is soon replaced.
FULL_MIN = 0.8
# Files that may be open after the load has gone beyond those from before it: kept connections to
# the origin, and viewers' that linger.
FILES_MORE_MAX = 40
# Threads beyond those from before the load: each worker may have four for blocking calls, the
# journal's among them.
THREADS_MORE_MAX = 12

Sample = collections.namedtuple("Sample", "at rss pss files threads accounted")


def sample(pid, at, metrics):
    """What process `pid` holds now, with what its metrics say the store accounts for."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        rollup = file.read()
    kib = {name: int(re.search(rf"^{name}:\s+(\d+) kB", rollup, re.M)[1]) for name in ("Rss", "Pss")}
    files, threads = (len(os.listdir(f"/proc/{pid}/{folder}")) for folder in ("fd", "task"))
    accounted = int(float(re.search(r"^warmfront_cache_bytes(?:\{[^}]*\})? (\S+)", metrics, re.M)[1]))
    return Sample(at, kib["Rss"] << 10, kib["Pss"] << 10, files, threads, accounted)


def growth(samples, of):
    """By how much the line through the second half of the samples rises in it."""
    half = samples[len(samples) // 2 :]
    times = [one.at for one in half]
    slope, _ = statistics.linear_regression(times, [getattr(one, of) for one in half])
    return slope * (times[-1] - times[0])


def verdict(samples, before, after, memory):
    """What is wrong, in words; nothing when all is well."""
    wrong = []
    grown = growth(samples, "pss")
    if grown > GROWTH_MAX:
        wrong.append(f"memory grew by {grown / 2**20:.1f} MiB in the second half, at most {GROWTH_MAX >> 20} are allowed")
    most = max(one.accounted for one in samples)
    if most > memory * OVERDRAWN_MAX:
        wrong.append(f"the store accounted for {most} bytes of {memory}")
    last = max(one.accounted for one in samples[-len(samples) // 4 :])
    if last < memory * FULL_MIN:
        wrong.append(f"the store came to no more than {last} bytes of {memory} in the end")
    if after.files > before.files + FILES_MORE_MAX:
        wrong.append(f"{after.files} files are open after the load, {before.files} were before it")
    threads = max(one.threads for one in samples)
    if threads > before.threads + THREADS_MORE_MAX:
        wrong.append(f"there were {threads} threads, {before.threads} before the load")
    return wrong


def line(one):
    """A sample as a line of a table."""
    mib = [f"{value / 2**20:8.1f}" for value in (one.rss, one.pss, one.accounted)]
    return f"{one.at:6.0f} {' '.join(mib)} {one.files:6} {one.threads:7}"


HEAD = f"{'s':>6} {'RSS MiB':>8} {'PSS MiB':>8} {'store':>8} {'files':>6} {'threads':>7}"
