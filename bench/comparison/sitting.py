"""Measures: every scenario's variants by turns, each server alone and freshly started. What was seen goes at once into a
file of JSON lines:

    {"kind": "sitting", "sitting": ID, "machine": {...}, "versions": {...}, ...}
    {"kind": "run", "sitting": ID, "scenario": "b", "variant": "ours", "server": "ours", "round": 1, "metrics": {...},
     "result": what chat-load printed, …}   or with "error" in place of both

Metrics (metrics_of) are in the units that report.METRICS names.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from datetime import datetime, timezone

from . import servers
from .machine import machine

PAIR_SECONDS = 3
PAIR_RATE = 200


class Failed(Exception):
    """The load generator could not run."""


def arguments(load):
    return [word for name, value in load.items() for word in ("--" + name, "%g" % value)]


def run_json(command, limit, fine=(0, 1)):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        raise Failed("%s took longer than %d s" % (os.path.basename(command[0]), limit)) from None
    if done.returncode not in fine or not done.stdout.startswith("{"):
        raise Failed((done.stderr.strip() or "status %d" % done.returncode)[-400:])
    return json.loads(done.stdout)


def metrics_of(result):
    """What chat-load printed → the numbers that are compared."""
    window, processes = result["window_seconds"], result["processes"]
    sessions = result["readers"] + result["authors"]
    found = {
        "cpu": sum(p["cpu_seconds"] for p in processes) / window,
        "generator": result["generator_cpu_share"],
        "connects": result["connects_per_second"],
        "memory": (sum(p["rss_end"] for p in processes) - sum(p["rss_before"] for p in processes)) / sessions,
        "peak": sum(p["rss_peak"] for p in processes),
        "trouble": sum(result[name] for name in ("lost", "doubled", "disordered", "errors", "closed", "unsent", "stalls")),
    }
    if result["authors"] > 0:
        found.update(deliveries=result["deliveries_per_second"], megabytes=result["bytes_per_second"] / 1e6)
        if result["latency_us"]["count"] > 0:
            found.update(p50=result["latency_us"]["p50"], p99=result["latency_us"]["p99"])
        if found["deliveries"] > 0:
            found["cost"] = found["cpu"] * 1e6 / found["deliveries"]
    if result["rate"] > 0:
        found["delay"] = result["send_delay_us"]["p99"]
    return found


class Sitting:
    """build: the folder with our programs. quick: two short rounds. only: names of servers, or None for all."""

    def __init__(self, build, path, quick=False, only=None, rounds=None):
        self.build, self.path, self.quick, self.only, self.rounds = build, path, quick, only, rounds
        self.id = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.missing = {}

    def variants(self, scenario):
        return [v for v in scenario.variants if self.only is None or v.server in self.only]

    def rounds_of(self, scenario):
        return self.rounds or (2 if self.quick else scenario.rounds)

    def load(self, scenario, variant):
        load = {**scenario.load, **variant.load}
        if self.quick:
            load.update(seconds=min(load["seconds"], 1 if load["authors"] else 3), warmup=min(load["warmup"], 0.3), drain=2)
        return load

    def estimate(self, scenarios):
        """Minutes, roughly: what a start, connecting and an end take besides."""
        seconds = 0
        for scenario in scenarios:
            for variant in self.variants(scenario):
                load = self.load(scenario, variant)
                one = load["seconds"] + load["warmup"] + 1.2 + (load["readers"] + load["authors"]) / 2500
                seconds += (one + (PAIR_SECONDS if scenario.pair else 0)) * self.rounds_of(scenario)
        return seconds / 60

    def write(self, record):
        with open(self.path, "a") as f:
            f.write(json.dumps(record, separators=(",", ":")) + "\n")

    def begin(self, scenarios):
        names = sorted({v.server for s in scenarios for v in self.variants(s)})
        versions = {}
        for name in names:
            with contextlib.suppress(OSError):
                versions[name] = servers.ALL[name](self.build).version()
        self.write({"kind": "sitting", "sitting": self.id, "quick": self.quick, "machine": machine(),
                    "versions": versions})

    def chat_load(self, server, load):
        command = [os.path.join(self.build, "bench", "chat-load"), "--json", "--url", server.url(), *server.protocol,
                   *arguments(load)]
        for pid in server.pids()[:16]:
            command += ["--pid", str(pid)]
        return command, load["seconds"] + load["warmup"] + 150

    def with_pair(self, server, load):
        """The pair alone, then beside the load."""
        pair = [os.path.join(self.build, "bench", "mqtt-pair"), str(server.mqtt_port), str(PAIR_RATE), str(PAIR_SECONDS)]
        alone = run_json(pair, 30)
        command, limit = self.chat_load(server, load)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            # Connecting is over, and the load runs, when the bridge works: its own window says so afterwards.
            began = self.wait_busy(server, process)
            during = run_json(pair, 30)
            out, err = process.communicate(timeout=limit)
        finally:
            process.kill()
            process.wait()
        if not out.startswith("{"):
            raise Failed(err.strip()[-400:])
        result = json.loads(out)
        return result, {"alone": alone, "during": during, "waited": began}

    @staticmethod
    def wait_busy(server, process):
        """Until the server has worked for more than half of a tenth of a second; how long that took."""
        def spent():
            total = 0
            for pid in server.pids():
                with contextlib.suppress(OSError), open("/proc/%d/schedstat" % pid) as f:
                    total += int(f.read().split()[0])
            return total / 1e9
        start, before = time.monotonic(), spent()
        while process.poll() is None and time.monotonic() < start + 30:
            time.sleep(0.1)
            now = spent()
            if now - before > 0.05:
                break
            before = now
        time.sleep(1.0)  # connecting works, too
        return time.monotonic() - start

    def run(self, scenario, variant):
        settings = {"options": variant.options} if variant.options else {}
        record = {}
        with servers.ALL[variant.server](self.build, **settings) as server:
            load = self.load(scenario, variant)
            try:
                if scenario.pair:
                    result, pair = self.with_pair(server, {**load, "seconds": max(load["seconds"], PAIR_SECONDS + 2)})
                    record["pair"] = pair
                else:
                    command, limit = self.chat_load(server, load)
                    result = run_json(command, limit)
            except Failed as reason:
                raise Failed("%s; the server's log ends: %s" % (reason, server.log()[-500:].strip())) from None
        metrics = metrics_of(result)
        if scenario.pair:
            for when in ("alone", "during"):
                metrics["pair_%s_p50" % when] = pair[when]["latency_us"]["p50"]
                metrics["pair_%s_p99" % when] = pair[when]["latency_us"]["p99"]
            metrics["pair_lost"] = pair["alone"]["lost"] + pair["during"]["lost"]
        return {"metrics": metrics, "result": result, **record}

    def measure(self, scenarios):
        self.begin(scenarios)
        for scenario in scenarios:
            print("%s: %s" % (scenario.name, scenario.title), flush=True)
            for n in range(1, self.rounds_of(scenario) + 1):
                for variant in self.variants(scenario):
                    self.one(scenario, variant, n)

    def one(self, scenario, variant, n):
        record = {"kind": "run", "sitting": self.id, "scenario": scenario.name, "variant": variant.name,
                  "server": variant.server, "round": n}
        if variant.server in self.missing:
            return
        began = time.monotonic()
        try:
            record.update(self.run(scenario, variant))
            said = ", ".join("%s %.4g" % (name, record["metrics"][name]) for name in scenario.metrics
                             if name in record["metrics"])
            if record["metrics"]["trouble"]:
                said += ", trouble %d" % record["metrics"]["trouble"]
        except servers.Unavailable as reason:
            self.missing[variant.server] = str(reason)
            record["error"] = said = "not available: %s" % reason
        except (Failed, OSError, subprocess.SubprocessError) as reason:
            record["error"] = said = "failed: %s" % reason
        record["took"] = round(time.monotonic() - began, 2)
        self.write(record)
        print("  %d %-16s %5.1f s  %s" % (n, variant.name, record["took"], said), flush=True)


def read(path):
    """The records of a file; a last line that is not whole is left out."""
    records = []
    with open(path) as f:
        for line in f:
            try:
                records.append(json.loads(line))
            except ValueError:
                print("%s: a line is not whole" % path, file=sys.stderr)
    return records


def forget(path, names):
    """Takes the runs of these scenarios out, and sittings of which nothing is left."""
    if not os.path.exists(path):
        return
    kept = [r for r in read(path) if r["kind"] == "sitting" or r["scenario"] not in names]
    used = {r["sitting"] for r in kept if r["kind"] == "run"}
    with open(path + ".new", "w") as f:
        for record in kept:
            if record["kind"] == "run" or record["sitting"] in used:
                f.write(json.dumps(record, separators=(",", ":")) + "\n")
    os.replace(path + ".new", path)
