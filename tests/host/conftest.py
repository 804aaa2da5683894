"""Pairs of brokers by configuration, started when a dialogue first wants them and kept for the rest of the run."""

import importlib
import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "integration")]

from harness import valgrind  # noqa: E402  the path comes first
from harness.broker import MOSQUITTO, PLUGIN  # noqa: E402
from stage import CONFIGS, Host  # noqa: E402

for _name in ("connect", "messages", "subscribe", "malformed", "access"):
    importlib.import_module("dialogues_" + _name)  # they register themselves

SHOWN = 20000  # characters of a log in the report of a failure


def pytest_sessionstart(session):
    for path in (MOSQUITTO, PLUGIN):
        if not os.path.exists(path):
            pytest.exit("%s is not there (build first, or set CHAT_BUILD_DIR)" % path, returncode=3)


def finish(hosts, item):
    problems = []
    for host in hosts:
        problems += ["%s the plugin: %s" % ("with" if host.loaded else "without", one) for one in host.finish()]
        item.user_properties += valgrind.properties(host)
    if problems:
        pytest.fail("\n".join(problems[:20]), pytrace=False)


@pytest.fixture(scope="session")
def pairs(request):
    """pairs(name): the two brokers of a configuration, without the plugin and with it."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = [Host(CONFIGS[name], loaded).start() for loaded in (False, True)]
        return made[name]

    yield get
    finish((host for pair in made.values() for host in pair), request.session.chat_ending)


@pytest.fixture
def hosts(request):
    """hosts(config, loaded, start=True, …): a broker for one test."""
    made = []
    request.node.hosts = made

    def make(config, loaded, start=True, **more):
        made.append(Host(config, loaded, **more))
        return made[-1].start() if start else made[-1]

    yield make
    finish(made, request.node)


def pytest_runtest_teardown(item):
    item.session.chat_ending = item  # what ends after it, in this process, is reported with it


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for host in getattr(item, "hosts", []):
            if os.path.exists(host.log_path):
                report.sections.append(("log, %s" % ("with the plugin" if host.loaded else "without"), host.log()[-SHOWN:]))


def pytest_terminal_summary(terminalreporter):
    valgrind.summary(terminalreporter)
