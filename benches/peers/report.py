"""What was measured, as a page and as a chart."""

import os
import platform
import statistics

from workloads import WORKLOADS

BASE = "nginx"
CHARTED = ["hit-1k", "hit-10k", "hit-16k", "hit-256k", "pass", "miss", "tls", "h2", "handshake"]
COLOURS = {
    "warmfront": "#d9480f",
    "nginx": "#868e96",
    "haproxy": "#4263eb",
    "varnish": "#0ca678",
    "trafficserver": "#ae3ec9",
}

METHOD = """# Performance

How Warmfront compares with other caching proxies on one machine, measured by `benches/peers/run`, which writes this page. Less is better,
but for requests a second.

![CPU time a request, relative to {base}](performance.svg)

## Method

- One core for the server, one for the load generator and the origin; everything over loopback. {rounds} rounds of {seconds} s for each
  workload, the candidates in turns, every one started afresh each time; the tables show medians, the ratios are medians of each round's ratio.
- *CPU µs a request* is user and system time of all the server's processes over the number of answers. It is what a core is spent on, and it
  says more than requests a second, where the load generator is often the first to be full.
- Hits are proved by the origin's own counter: a workload of hits fails if more than one request in 10,000 reaches it.
- The peers are Debian's packages with logging off, one worker or thread, and a cache in memory (nginx and Traffic Server: files on a memory
  file system). Warmfront runs with everything on that is on by default: guard, metrics, `Cache-Status`, request ids. The configurations are in
  `benches/peers/conf`.
- Load: wrk with 64 connections; h2load with 16 connections of 10 streams for HTTP/2, and with a fixed rate for latencies; 500 connections of our
  own for the herd. TLS: ECDSA P-256, nothing resumed.
- One worker each; what it costs that several share what is stored is measured by `benches/scaling/run`, whose README has the figures.
- Machine: {machine}. Neighbours on a shared machine move absolute numbers; compare ratios.

Versions: {versions}.
"""

def page(samples, versions, arguments):
    text = METHOD.format(
        base=BASE,
        rounds=arguments.rounds,
        seconds=arguments.seconds,
        machine=f"{os.cpu_count()} × {processor()}, Linux {platform.release()}",
        versions="; ".join(f"{name}: {said}" for name, said in versions.items()),
    )
    for key, title in dict.fromkeys(pair for name in samples for pair in WORKLOADS[name][2]):
        names = [name for name in samples if (key, title) in WORKLOADS[name][2]]
        text += f"\n## {title[0].upper()}{title[1:]}\n\n" + table(samples, names, key)
        if key == "cpu_us" and BASE in next(iter(samples.values())):
            text += f"\nRelative to {BASE}:\n\n" + table(samples, names, key, relative=True)
    hits = {name: of for name, of in samples.items() if "requests" in next(iter(of.values()))[0]}
    if hits:
        text += "\n## What reached the origin\n\n"
        text += rows(hits, lambda taken, _: f"{total(taken, 'origin'):,} of {total(taken, 'requests'):,}")
    return text


def table(samples, names, key, relative=False):
    def cell(taken, of):
        if not relative:
            return shown(statistics.median(sample[key] for sample in taken))
        return f"{statistics.median(ratios(taken, of[BASE], key)):.2f}"

    return rows({name: samples[name] for name in names}, cell)


def rows(samples, cell):
    """A Markdown table: a row for each workload, a column for each peer."""
    peers = list(next(iter(samples.values())))
    text = f"| | {' | '.join(peers)} |\n|---|{'--:|' * len(peers)}\n"
    for name, of in samples.items():
        text += f"| {WORKLOADS[name][1]} | {' | '.join(cell(of[peer], of) for peer in peers)} |\n"
    return text


def ratios(taken, base, key):
    return [one[key] / other[key] for one, other in zip(taken, base)]


def total(taken, key):
    return sum(sample[key] for sample in taken)


def shown(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def processor():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def chart(samples):
    """Bars: the CPU time a request relative to nginx, cut off at twice it."""
    names = [name for name in CHARTED if name in samples]
    peers = list(samples[names[0]])
    bar, gap, left, width, most = 12, 14, 190, 760, 2.5
    unit = (width - left - 60) / most
    group = bar * len(peers) + gap
    height = 70 + group * len(names)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="16" y="24" font-size="15" font-weight="600">CPU time a request, relative to {BASE} (less is better)</text>',
    ]
    for index, peer in enumerate(peers):
        x = left + index * 110
        out.append(f'<rect x="{x}" y="36" width="10" height="10" fill="{COLOURS[peer]}"/><text x="{x + 15}" y="45">{peer}</text>')
    for row, name in enumerate(names):
        top = 62 + row * group
        out.append(f'<text x="{left - 10}" y="{top + group / 2 - 2}" text-anchor="end">{WORKLOADS[name][1]}</text>')
        for index, peer in enumerate(peers):
            ratio = statistics.median(ratios(samples[name][peer], samples[name][BASE], "cpu_us"))
            y = top + index * bar
            length = min(ratio, most) * unit
            out.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{bar - 2}" fill="{COLOURS[peer]}"/>')
            out.append(f'<text x="{left + length + 5:.1f}" y="{y + bar - 3}" font-size="10">{ratio:.2f}</text>')
    one = left + unit
    out.append(f'<line x1="{one}" y1="56" x2="{one}" y2="{height - 8}" stroke="#343a40" stroke-dasharray="3 3"/>')
    out.append("</svg>\n")
    return "\n".join(out)
