"""Every C test that ctest runs once more, in valgrind's memcheck: nothing of it may be found, library or not.

CHAT_BUILD_DIR is a build with its tests. pytest -n 2 tests/unit
"""

import json
import os
import subprocess
import sys

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration")]

from harness.broker import BUILD  # noqa: E402  the path comes first
from harness.valgrind import Reports  # noqa: E402

# What cannot run there, with the reason.
LEFT_OUT = {
    "unit.test_sandbox": "valgrind knows no seccomp and no Landlock",
}
SECONDS = 600


def programs():
    text = subprocess.run(["ctest", "--test-dir", BUILD, "--show-only=json-v1"], capture_output=True, text=True, check=True).stdout
    for test in json.loads(text)["tests"]:
        reason = LEFT_OUT.get(test["name"])
        marks = [pytest.mark.skip(reason=reason)] if reason else []
        yield pytest.param(test["command"], id=test["name"], marks=marks)


@pytest.mark.parametrize("command", list(programs()))
def test_in_valgrind(command):
    reports = Reports()
    try:
        done = subprocess.run(reports.command("program") + command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=SECONDS, env=dict(os.environ, CHAT_VALGRIND="1"))
        text = done.stdout.decode("utf-8", "replace")
        assert done.returncode == 0, text[-20000:]
        ended = ["</valgrindoutput>" in report for report in reports.texts("program")]
        assert ended == [True], "the report ends early:\n" + text[-20000:]
        found = reports.findings("program")
        assert not found, "\n".join(found)
    finally:
        reports.remove()
