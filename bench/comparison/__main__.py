"""bench/run's second half: what to measure, where to keep it."""

import argparse
import os
import sys

from . import report, scenarios, servers
from .sitting import Sitting, forget


def chosen(names):
    wanted = []
    for name in names or ("table", "growth"):
        wanted += scenarios.NAMES.get(name, [name])
    unknown = [name for name in wanted if name not in scenarios.ALL]
    if unknown:
        sys.exit("bench/run: %s: no such scenario (bench/run --list)" % ", ".join(unknown))
    return [scenario for scenario in scenarios.ALL.values() if scenario.name in wanted]


def only(text):
    names = text.split(",")
    unknown = [name for name in names if name not in servers.ALL]
    if unknown:
        sys.exit("bench/run: %s: no such server (bench/run --list)" % ", ".join(unknown))
    return names


def main():
    parser = argparse.ArgumentParser(prog="bench/run", add_help=False)
    parser.add_argument("scenario", nargs="*")
    parser.add_argument("--build", required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--only", type=only)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--out")
    o = parser.parse_args()
    if o.list:
        for scenario in scenarios.ALL.values():
            print("%-11s %s (%s)" % (scenario.name, scenario.title, ", ".join(v.name for v in scenario.variants)))
        print("servers: " + ", ".join(servers.ALL))
        return
    folder = o.out or (os.path.join(o.build, "quick") if o.quick else servers.BENCH)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "results.jsonl")
    if not o.report:
        wanted = [s for s in chosen(o.scenario) if o.only is None or any(v.server in o.only for v in s.variants)]
        forget(path, {scenario.name for scenario in wanted})
        sitting = Sitting(o.build, path, o.quick, o.only, o.rounds)
        print("about %.0f minutes" % sitting.estimate(wanted), flush=True)
        sitting.measure(wanted)
    if not os.path.exists(path):
        sys.exit("bench/run: there is no %s" % path)
    report.write(path, folder)
    print("wrote %s" % os.path.join(folder, "RESULTS.md"))


main()
