"""docs/dependencies.md names every package that the scripts install and every library that the programs are linked with; and
hash tables come from one of them in one way."""

import json
import os
import re
import subprocess

import pytest

from harness.broker import BUILD, REPO, SANITIZE


def sections():
    """The first cells of the tables, by heading; the tables of npm's come last, under names of their own."""
    found, heading = {}, ""
    with open(os.path.join(REPO, "docs", "dependencies.md")) as f:
        for line in f:
            if line.startswith("## "):
                heading = line[3:].strip()
            elif line.startswith("From npm"):
                heading = "npm, tests"
            elif line.startswith("To compare with"):
                heading = "npm, peers"
            elif match := re.match(r"\| ([a-z0-9@/.+-]+) \|", line):
                if match.group(1) != "package":
                    found.setdefault(heading, []).append(match.group(1))
                    cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
                    assert all(cells), line
    return found


def packages(groups=None):
    with open(os.path.join(REPO, "scripts", "packages")) as f:
        lines = [line.split() for line in f if line.strip() and not line.startswith("#")]
    return {name for group, name in lines if groups is None or group in groups}


def test_every_package_is_in_the_list():
    there = sections()
    assert set(there["To build"]) == packages({"build"})
    assert set(there["To build"]) | set(there["To run and test"]) == packages()
    for name, folder in (("npm, tests", "tests/node"), ("npm, peers", "bench/peers")):
        with open(os.path.join(REPO, folder, "package.json")) as f:
            wanted = json.load(f)
        assert set(there[name]) == set(wanted["dependencies"]) | set(wanted.get("optionalDependencies", {}))
    for names in there.values():
        assert len(names) == len(set(names)), names


@pytest.mark.skipif(SANITIZE, reason="linked with more")
def test_every_library_is_in_the_list():
    needed = set()
    for part in ("plugin/mosquitto_chat.so", "bridge/mosquitto-chat-bridge"):
        text = subprocess.run(["readelf", "-d", os.path.join(BUILD, part)], capture_output=True, text=True, check=True).stdout
        needed |= set(re.findall(r"NEEDED.*\[lib([a-z_]+)[0-9.]*\.so", text))
    # The library is another name than its package in some cases, and numbers differ from release to release.
    renamed = {"crypto": "ssl"}
    there = {re.match(r"lib([a-z]+)", name).group(1) for name in sections()["At run time"] if name.startswith("lib")}
    assert {renamed.get(name, name) for name in needed} <= there, needed


def test_every_hash_table_is_keyed():
    """Under uthash's own hash whoever chooses addresses or rooms chooses who meets in a bucket."""
    includes = []
    for part in ("bridge", "common", "plugin", "ctrl"):
        for name in sorted(os.listdir(os.path.join(REPO, part))):
            if name.endswith((".c", ".h")):
                with open(os.path.join(REPO, part, name)) as f:
                    text = f.read()
                if "<uthash.h>" in text:
                    assert re.search(r"#define HASH_FUNCTION\(.*\n#include <uthash.h>", text), name
                    includes.append(part + "/" + name)
    assert includes == ["bridge/keyed_hash.h", "plugin/table.h"]
