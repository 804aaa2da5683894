"""RESULTS.md and the plots, from the JSON lines of sittings. Everything in them comes from there and from the table of
scenarios; nothing is left out because it looks bad: where another server is better, a section of its own says so."""

import os
import statistics

from . import plots, scenarios, servers
from .sitting import read

# name → title, how a value is written, whether more is better (None: neither)
METRICS = {
    "deliveries": ("deliveries/s", lambda v: plots.short(v), True),
    "megabytes": ("MB/s received", lambda v: "%.1f" % v, True),
    "p50": ("p50", lambda v: milliseconds(v), False),
    "p99": ("p99", lambda v: milliseconds(v), False),
    "cpu": ("CPU, cores", lambda v: "%.5f" % v if v < 0.01 else "%.2f" % v, False),
    "cost": ("CPU a delivery", lambda v: "%.2f us" % v, False),
    "delay": ("generator's own delay, p99", lambda v: milliseconds(v), None),
    "connects": ("connects/s", lambda v: plots.short(v), True),
    "memory": ("memory a session, bytes", lambda v: "%.0f" % v, False),
    "peak": ("peak memory, MiB", lambda v: "%.1f" % (v / 2 ** 20), False),
    "generator": ("generator's CPU, cores", lambda v: "%.2f" % v, None),
    "pair_alone_p50": ("pair alone, p50", lambda v: milliseconds(v), False),
    "pair_alone_p99": ("pair alone, p99", lambda v: milliseconds(v), False),
    "pair_during_p50": ("pair during b, p50", lambda v: milliseconds(v), False),
    "pair_during_p99": ("pair during b, p99", lambda v: milliseconds(v), False),
    "pair_lost": ("pair's lost", lambda v: "%d" % v, False),
}
# "cpu" is not among them: who delivers less needs less.
COMPARED = ("deliveries", "p50", "p99", "cost", "connects", "memory")


def milliseconds(us):
    return "%.2f ms" % (us / 1000) if us < 100000 else "%.0f ms" % (us / 1000)


class Results:
    """runs[scenario][variant][round] → record"""

    def __init__(self, records):
        self.sittings = {r["sitting"]: r for r in records if r["kind"] == "sitting"}
        self.runs = {}
        for r in records:
            if r["kind"] == "run":
                self.runs.setdefault(r["scenario"], {}).setdefault(r["variant"], {})[r["round"]] = r

    def values(self, scenario, variant, metric):
        """By round, of the runs that worked."""
        runs = self.runs.get(scenario, {}).get(variant, {})
        return {n: r["metrics"][metric] for n, r in sorted(runs.items()) if metric in r.get("metrics", {})}

    def errors(self, scenario, variant):
        return [r["error"] for r in self.runs.get(scenario, {}).get(variant, {}).values() if "error" in r]

    def ratios(self, scenario, a, b):
        """a, b: (variant, metric). Within each round."""
        ours, theirs = self.values(scenario, *a), self.values(scenario, *b)
        return {n: ours[n] / theirs[n] for n in ours if theirs.get(n)}

    def versions(self):
        found = {}
        for sitting in self.sittings.values():
            found.update(sitting["versions"])
        return found


def spread(values, write):
    """median (lowest to highest)"""
    values = list(values)
    if not values:
        return "-"
    if len(values) == 1:
        return write(values[0])
    return "%s (%s to %s)" % (write(statistics.median(values)), write(min(values)), write(max(values)))


def table(head, rows):
    return ["| %s |" % " | ".join(head), "|%s" % ("---|" * len(head)),
            *("| %s |" % " | ".join(str(cell).replace("|", "/").replace("\n", " ") for cell in row) for row in rows), ""]


def title_of(scenario, variant):
    return servers.ALL[variant.server].title if not variant.label else variant.label


def target_values(results, scenario, target):
    if target.by:
        return results.ratios(scenario.name, (target.variant, target.metric),
                              (target.by, target.by_metric or target.metric))
    return results.values(scenario.name, target.variant, target.metric)


def target_rows(results):
    rows = []
    ours = results.versions().get("ours", "")
    for scenario in scenarios.TABLE:
        for target in scenario.targets:
            if target.broker and "mosquitto %s." % target.broker not in ours:
                continue
            values = target_values(results, scenario, target)
            write = (lambda v: "%.2f" % v) if target.by else METRICS[target.metric][1]
            said = "not measured"
            if values:
                said = "met" if target.met(statistics.median(values.values())) else "**not met**"
            rows.append((scenario.name, target.text, spread(values.values(), write), len(values) or "-", said))
    return rows


def scenario_part(results, scenario):
    runs = results.runs.get(scenario.name)
    if not runs:
        return []
    out = ["## %s: %s" % (scenario.name, scenario.title), ""]
    metrics = scenario.metrics + ("generator",)
    compare = scenario.axis == "" and "deliveries" in metrics and not scenario.pair and \
        len({v.server for v in scenario.variants}) > 1
    head = [scenario.axis or "server", *(METRICS[m][0] for m in metrics), "trouble"]
    head += ["ours ÷ it, deliveries"] if compare else []
    rows, notes = [], []
    for variant in scenario.variants:
        if variant.name not in runs:
            continue
        row = [title_of(scenario, variant)]
        row += [spread(results.values(scenario.name, variant.name, m).values(), METRICS[m][1]) for m in metrics]
        row.append(plots.short(sum(results.values(scenario.name, variant.name, "trouble").values())))
        if compare:
            ratios = results.ratios(scenario.name, ("ours", "deliveries"), (variant.name, "deliveries"))
            row.append("" if variant.name == "ours" else spread(ratios.values(), lambda v: "%.2f" % v))
        rows.append(row)
        notes += ["- %s: %s" % (title_of(scenario, variant), " ".join(error.split()))
                  for error in sorted(set(results.errors(scenario.name, variant.name)))]
        first = next((r["result"][key] for r in runs[variant.name].values() for key in ("first_error", "first_closed")
                      if r.get("result", {}).get(key)), None)
        notes += ["- %s, first trouble: %s" % (title_of(scenario, variant), first)] if first else []
    out += table(head, rows)
    if notes:
        out += [*notes, ""]
    out += ["![%s](plots/%s)" % (scenario.title, name) + "\n" for name in plots_of(results, scenario)]
    return out


def better_peers(results):
    """Where the median of another server beats ours."""
    found = []
    for scenario in scenarios.TABLE:
        if "ours" not in results.runs.get(scenario.name, {}):
            continue
        for metric in (m for m in scenario.metrics if m in COMPARED):
            name, write, more = METRICS[metric]
            ours = list(results.values(scenario.name, "ours", metric).values())
            for variant in scenario.variants:
                theirs = list(results.values(scenario.name, variant.name, metric).values())
                if variant.server in ("ours", "ours-tls") or not ours or not theirs:
                    continue
                a, b = statistics.median(ours), statistics.median(theirs)
                if (b > a) if more else (b < a):
                    found.append((scenario.name, title_of(scenario, variant), name, write(b), write(a)))
    return found


def bar_rows(results, scenario, metric):
    rows = []
    for variant in scenario.variants:
        values = list(results.values(scenario.name, variant.name, metric).values())
        if values:
            kind = "ours" if variant.server.startswith("ours") else "ideal" if variant.server == "ideal" else "other"
            rows.append((title_of(scenario, variant), statistics.median(values), min(values), max(values), kind))
    return rows


def plots_of(results, scenario):
    """file name → SVG"""
    found = {}
    if scenario.axis:
        def points(metric, factor=1.0):
            out = []
            for v in scenario.variants:
                values = [value * factor for value in results.values(scenario.name, v.name, metric).values()]
                if values:
                    out.append((v.x, statistics.median(values), min(values), max(values)))
            return out
        if points("deliveries"):
            found["%s.svg" % scenario.name] = plots.lines(scenario.title, scenario.axis, "deliveries/s",
                                                          {"deliveries/s": points("deliveries")})
            found["%s-latency.svg" % scenario.name] = plots.lines(
                scenario.title + ": latency", scenario.axis, "ms", {"p50": points("p50", 1e-3), "p99": points("p99", 1e-3)})
        return found
    # Of the metrics of a comparison those that a picture says more about than a table.
    for metric in {"a": ("p50", "p99"), "d": ("p50", "p99", "cpu"), "d4": ("p50",), "c": ("connects", "memory")}.get(
            scenario.name, ("deliveries",) if "deliveries" in scenario.metrics and not scenario.pair else ()):
        rows = bar_rows(results, scenario, metric)
        if len(rows) > 1:
            unit = METRICS[metric][0]
            if metric in ("p50", "p99"):
                rows = [(name, m / 1000, low / 1000, high / 1000, kind) for name, m, low, high, kind in rows]
                unit += ", ms"
            found["%s-%s.svg" % (scenario.name, metric)] = plots.bars("%s: %s" % (scenario.name, scenario.title), unit, rows)
    return found


def machine_lines(results):
    out, seen = [], []
    for sitting in results.sittings.values():
        m = sitting["machine"]
        text = "%s, %d cores, %d MiB; Linux %s, %s" % (m["cpu"], m["cores"], m["memory_mib"], m["kernel"], m["system"])
        measured = sorted({name for name, variants in results.runs.items() for rounds in variants.values()
                           for r in rounds.values() if r["sitting"] == sitting["sitting"]})
        if text not in seen:
            out.append("- Machine: %s." % text)
            seen.append(text)
        out.append("- %s%s: %s (load average before: %s)." % (
            sitting["sitting"], ", **quick: no results**" if sitting["quick"] else "", ", ".join(measured), m["load_before"]))
    return out


HEAD = """# Results

Written by `bench/run` (README.md says how it measures); `bench/run --report` writes it anew from `results.jsonl`. The load
generator and the server share the machine. Numbers are medians of the rounds, with the lowest and the highest; a ratio is taken
within each round, then the median. Latency is from the moment a message was sent, with a fixed rate from when it was due. CPU is of
all of a server's processes, in cores. *trouble*: messages lost, doubled or out of order, errors, sessions closed, messages that could
not be sent, stalls, over all rounds.
"""


def text(results):
    out = [HEAD, *machine_lines(results), "", "## Versions", ""]
    out += table(("server", "version"), [(servers.ALL[name].title, version or "of this checkout" if name == "ideal" else version)
                                         for name, version in results.versions().items()])
    out += ["## Targets", ""]
    out += table(("scenario", "target", "measured", "rounds", ""), target_rows(results))
    out += ["## Where another server is better", ""]
    better = better_peers(results)
    out += table(("scenario", "server", "what", "its", "ours"), better) if better else ["Nowhere in what was measured.", ""]
    for scenario in scenarios.ALL.values():
        out += scenario_part(results, scenario)
    return "\n".join(out).rstrip("\n") + "\n"


def write(path, folder):
    results = Results(read(path))
    pictures = os.path.join(folder, "plots")
    os.makedirs(pictures, exist_ok=True)
    for scenario in scenarios.ALL.values():
        for name, svg in plots_of(results, scenario).items():
            with open(os.path.join(pictures, name), "w") as f:
                f.write(svg)
    with open(os.path.join(folder, "RESULTS.md"), "w") as f:
        f.write(text(results))
