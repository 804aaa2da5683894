"""bench/run's report, from measurements that nobody has made: what it says follows from them, good or bad. The table of
scenarios is checked as well, so that it does not first fail in a long sitting."""

import importlib
import json
import os
import sys
import xml.dom.minidom

import pytest

from harness.broker import BUILD, REPO

sys.path.insert(0, os.path.join(REPO, "bench"))
scenarios, servers, sitting, report, plots = (importlib.import_module("comparison." + name) for name in (
    "scenarios", "servers", "sitting", "report", "plots"))


def run(scenario, variant, n, **metrics):
    return {"kind": "run", "sitting": "S", "scenario": scenario, "variant": variant, "server": variant, "round": n,
            "metrics": {"trouble": 0, "generator": 1.0, **metrics}, "result": {}}


def failed(scenario, variant, n, why):
    return {"kind": "run", "sitting": "S", "scenario": scenario, "variant": variant, "server": variant, "round": n,
            "error": why}


SITTING = {"kind": "sitting", "sitting": "S", "quick": False, "versions": {"ours": "v1 in mosquitto 2.0.11", "nchan": "1.3"},
           "machine": {"cpu": "a", "cores": 2, "memory_mib": 1, "kernel": "6", "system": "Debian", "load_before": "0.01"}}


@pytest.fixture
def written(tmp_path):
    """Writes records, returns RESULTS.md and the folder of plots."""
    def write(*records):
        path = tmp_path / "results.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in (SITTING, *records)))
        report.write(str(path), str(tmp_path))
        return (tmp_path / "RESULTS.md").read_text(), tmp_path / "plots"
    return write


def rows(text, *begin):
    """The table rows whose first cells are these."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.split("\n") if line.startswith("| ")]
    return [row for row in cells if row[:len(begin)] == list(begin)]


def test_medians_ratios_and_targets(written):
    text, pictures = written(
        run("b", "ours", 1, deliveries=1000e3, p50=5000, p99=9000, cpu=1.1, cost=1.1),
        run("b", "nchan", 1, deliveries=100e3, p50=50000, p99=60000, cpu=0.9, cost=9),
        run("b", "ours", 2, deliveries=700e3, p50=7000, p99=9000, cpu=1.1, cost=1.5),
        run("b", "nchan", 2, deliveries=175e3, p50=50000, p99=8000, cpu=0.9, cost=9),
        run("b", "ours", 3, deliveries=800e3, p50=6000, p99=9000, cpu=1.1, cost=1.2),
        run("b", "nchan", 3, deliveries=100e3, p50=50000, p99=8000, cpu=0.9, cost=9))
    assert rows(text, "b", "at least 900 k deliveries/s") == [
        ["b", "at least 900 k deliveries/s", "800 k (700 k to 1 M)", "3", "**not met**"]]
    # By round 10, 4 and 8: not the medians' 8.
    assert rows(text, "b", "7 x nchan") == [["b", "7 x nchan", "8.00 (4.00 to 10.00)", "3", "met"]]
    assert rows(text, "b", "10 x Node ws")[0][2:] == ["-", "-", "not measured"]
    # The one thing in which it was better.
    better = text.split("## Where another server is better")[1].split("\n## ")[0]
    assert rows(better, "b") == [["b", "nchan (nginx)", "p99", "8.00 ms", "9.00 ms"]]
    assert rows(text, "nchan (nginx)", "100 k (100 k to 175 k)")[0][-1] == "8.00 (4.00 to 10.00)"
    svg = xml.dom.minidom.parse(str(pictures / "b-deliveries.svg"))
    assert [n.firstChild.data for n in svg.getElementsByTagName("text")].count("nchan (nginx)") == 1


def test_what_failed_stands_there(written):
    text, _ = written(run("b", "ours", 1, deliveries=1e6, p50=1, p99=1, cpu=1, cost=1, trouble=17),
                      failed("b", "ours", 2, "chat-load: a session ended"), failed("b", "aedes", 1, "not available: no node"))
    assert "- mosquitto-chat: chat-load: a session ended" in text
    assert "- aedes (Node.js): not available: no node" in text
    assert rows(text, "mosquitto-chat", "1 M")[0][-2] == "17"
    assert "Nowhere in what was measured." in text


def test_the_broker_decides_which_memory_is_wanted(written):
    text, _ = written(run("c", "ours", 1, connects=1, memory=8000, peak=1))
    assert rows(text, "c", "at most 7 KB a session")[0][-1] == "**not met**"
    assert not rows(text, "c", "at most 11 KB a session")


def test_growth_has_lines(written):
    records = [run("g-sessions", "%d" % n, i, deliveries=n * 10.0, p50=n, p99=2 * n, cpu=1, cost=1)
               for n in (10, 100, 1000) for i in (1, 2)]
    text, pictures = written(*records)
    assert rows(text, "1000", "10 k (10 k to 10 k)")
    assert "](plots/g-sessions.svg)" in text and "](plots/g-sessions-latency.svg)" in text
    lines = xml.dom.minidom.parse(str(pictures / "g-sessions-latency.svg")).getElementsByTagName("polyline")
    assert [len(line.getAttribute("points").split()) for line in lines] == [3, 3]


def test_scenarios_that_are_measured_anew_replace_the_old_ones(tmp_path):
    path = str(tmp_path / "results.jsonl")
    other = {**run("d", "ours", 1, p50=1), "sitting": "T"}
    with open(path, "w") as f:
        for record in (SITTING, run("b", "ours", 1, p50=1), {**SITTING, "sitting": "T"}, other):
            f.write(json.dumps(record) + "\n")
        f.write('{"kind": "ru')  # a sitting that was stopped
    sitting.forget(path, {"b"})
    assert sitting.read(path) == [{**SITTING, "sitting": "T"}, other]


def test_metrics_of_a_run():
    h = {"p50": 10, "p99": 20, "count": 3}
    processes = [{"cpu_seconds": 1.0, "rss_before": 100, "rss_end": 1100, "rss_peak": 2000},
                 {"cpu_seconds": 2.0, "rss_before": 0, "rss_end": 3000, "rss_peak": 5000}]
    result = {"window_seconds": 2.0, "processes": processes, "readers": 9, "authors": 1, "generator_cpu_share": 0.5,
              "connects_per_second": 7, "lost": 1, "doubled": 2, "disordered": 3, "errors": 4, "closed": 5, "unsent": 6,
              "stalls": 7, "deliveries_per_second": 3e6, "bytes_per_second": 5e6, "latency_us": h, "rate": 9,
              "send_delay_us": h}
    assert sitting.metrics_of(result) == {
        "cpu": 1.5, "cost": 0.5, "generator": 0.5, "connects": 7, "memory": 400, "peak": 7000, "trouble": 28,
        "deliveries": 3e6, "megabytes": 5, "p50": 10, "p99": 20, "delay": 20}


def test_the_table_is_sound():
    for scenario in scenarios.ALL.values():
        names = [v.name for v in scenario.variants]
        assert len(names) == len(set(names)), scenario.name
        assert {v.server for v in scenario.variants} <= set(servers.ALL), scenario.name
        assert set(scenario.metrics) <= set(report.METRICS), scenario.name
        for target in scenario.targets:
            assert target.variant in names and target.by in ("", *names), target
            assert target.metric in report.METRICS and (target.at_least is None) != (target.at_most is None), target


def test_ours_is_the_shipped_configuration(tmp_path):
    """But for what has to differ, and nothing is missing."""
    server = servers.Ours(BUILD)
    server.folder = str(tmp_path)
    with open(os.path.join(REPO, "config", "mosquitto.conf")) as f:
        shipped = f.read().split("\n")
    ours = server.config().rstrip("\n").split("\n")
    gone = sorted(line.split(" ")[0] for line in shipped if line and line not in ours)
    assert gone == ["listener", "listener", "persistence_location", "plugin", "plugin_opt_broker_socket",
                    "plugin_opt_history_file", "plugin_opt_port"]
    new = sorted(line.split(" ")[0] for line in ours if line and line not in shipped)
    assert new == sorted(gone + ["plugin_opt_bridge_program"] + ["plugin_opt_" + name for name in servers.Ours.LIFTED]
                         + (["user"] if os.geteuid() == 0 else []))


def test_bars_and_lines_say_nothing_that_is_no_number():
    for svg in (plots.bars("t < u", "x", [("a & b", 0, 0, 0, "ours")]), plots.lines("t", "x", "y", {"a": [(1, 0, 0, 0)]})):
        xml.dom.minidom.parseString(svg)
        assert "nan" not in svg
