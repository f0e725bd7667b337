"""Measures the peers side by side, in turns, and writes down what came out; `run` beside it prepares everything."""

import argparse
import json
import os
import pathlib

import peers
import report
from workloads import WORKLOADS, Workloads


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", default=",".join(peers.PEERS), help="which, separated by commas")
    parser.add_argument("--workloads", default=",".join(WORKLOADS), help="which, separated by commas")
    parser.add_argument("--rounds", type=int, default=4, help="how often each is measured")
    parser.add_argument("--seconds", type=int, default=4, help="how long each time")
    parser.add_argument("--data", type=pathlib.Path, help="write every sample there, as JSON")
    arguments = parser.parse_args()
    chosen = [peers.PEERS[name] for name in arguments.peers.split(",")]
    names = arguments.workloads.split(",")
    if len(os.sched_getaffinity(0)) < 2:
        parser.error("two CPUs are needed: one for the server, one for the load")
    samples = measured(chosen, names, arguments)
    if arguments.data:
        arguments.data.write_text(json.dumps(samples, indent=1))
    target = os.environ["WARMFRONT_TARGET"]
    versions = {peer.name: peers.version(peer, target) for peer in chosen}
    page = report.page(samples, versions, arguments)
    print(page)
    if set(names) == set(WORKLOADS) and set(arguments.peers.split(",")) == set(peers.PEERS):
        docs = pathlib.Path("docs")
        (docs / "performance.md").write_text(page)
        (docs / "performance.svg").write_text(report.chart(samples))


def measured(chosen, names, arguments):
    """{workload: {peer: [sample, …]}}, one sample a round; a busy neighbour disturbs a round of all alike."""
    samples = {name: {peer.name: [] for peer in chosen} for name in names}
    with peers.ground(os.environ["WARMFRONT_TARGET"]) as ground:
        workloads = Workloads(ground, arguments.seconds)
        for name in names:
            rounds = arguments.rounds if name != "memory" else 1
            for round_ in range(rounds):
                for peer in chosen:
                    with peers.candidate(peer, ground) as candidate:
                        sample = WORKLOADS[name][0](workloads, candidate)
                    samples[name][peer.name].append(sample)
                    figures = "  ".join(f"{key} {value:,.1f}" for key, value in sample.items())
                    print(f"{name}  round {round_ + 1}  {peer.name}  {figures}", flush=True)
    return samples


if __name__ == "__main__":
    main()
