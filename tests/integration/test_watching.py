"""docs/grafana-dashboard.json and docs/alerts.yml speak of metrics that there are, under labels and values that there are."""

import json
import os
import re
import shutil
import subprocess

import yaml

from harness.broker import REPO
from harness.history import with_history
from harness.scrape import PREFIX, scrape

DASHBOARD = os.path.join(REPO, "docs", "grafana-dashboard.json")
ALERTS = os.path.join(REPO, "docs", "alerts.yml")


def dashboard():
    with open(DASHBOARD) as f:
        return json.load(f)


def rules():
    with open(ALERTS) as f:
        return [rule for group in yaml.safe_load(f)["groups"] for rule in group["rules"]]


def expressions():
    found = [rule["expr"] for rule in rules()]
    board = dashboard()
    found += [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    found += [variable["query"] for variable in board["templating"]["list"]]
    return found


def missing(text, now):
    """What an expression names and the scrape has not."""
    values = {}
    for family in now.families.values():
        for sample in family.samples:
            for label, value in sample.labels.items():
                values.setdefault((sample.name, label), set()).add(value)
    names = {sample.name for family in now.families.values() for sample in family.samples}
    lacking = []
    for name, selector in re.findall(r"(%s\w+)(?:\{([^}]*)\})?" % PREFIX, text):
        if name not in names:
            lacking.append(name)
        for label, wanted in re.findall(r'(\w+)=~?"([^"]*)"', selector):
            if label not in ("instance", "job"):
                lacking += ["%s{%s=%s}" % (name, label, one) for one in wanted.split("|") if one not in values.get((name, label), ())]
    for labels in re.findall(r"sum by \(([^)]*)\) \((?:rate|increase)\((\w+)", text):
        lacking += ["%s by %s" % (labels[1], label) for label in labels[0].split(", ")
                    if label != "instance" and (labels[1], label) not in values]
    return lacking


def test_all_that_is_named_is_there(brokers):
    now = scrape(with_history(brokers))
    named = expressions()
    assert len(named) > 30
    lacking = {text: missing(text, now) for text in named if missing(text, now)}
    assert not lacking, lacking
    # The measure itself.
    assert missing(PREFIX + "nothing", now) and missing(PREFIX + 'disconnects_total{code="4999"}', now)
    assert missing("sum by (user) (rate(%sdeliveries_total[5m]))" % PREFIX, now)
    # Each metric is on the dashboard or in a rule, but for a few that are for looking closer.
    shown = set(re.findall(PREFIX + r"\w+", " ".join(named)))
    unseen = {name for name in (family.name + ("_total" if family.type == "counter" else "") for family in now.families.values())
              if not {name, name + "_bucket"} & shown}
    assert unseen <= {PREFIX + name for name in ("http_answers_total", "node_troubles_total", "typing_received_total")}, unseen


def test_the_dashboard_is_whole():
    board = dashboard()
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["type"] == "row" or panel["targets"], panel["title"]


def test_the_rules_say_what_to_do():
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert rule["labels"]["severity"] in ("warning", "critical"), rule
        assert rule["annotations"]["summary"] and rule["annotations"]["description"], rule
    # Prometheus itself, where it is installed (Debian: prometheus).
    if shutil.which("promtool"):
        checked = subprocess.run(["promtool", "check", "rules", ALERTS], capture_output=True, text=True)
        assert checked.returncode == 0 and "SUCCESS" in checked.stdout, checked
