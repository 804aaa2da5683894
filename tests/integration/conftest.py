"""Fixtures: brokers (a factory), broker (plugin alone), chat (plugin and bridge)."""

import faulthandler
import os

import pytest

from harness import selection, valgrind
from harness.broker import MOSQUITTO, PLUGIN, Broker

SHOWN = 60000  # characters of a log in the report of a failure


def pytest_addoption(parser):
    selection.add_option(parser)


def pytest_collection_modifyitems(config, items):
    selection.keep_few(config, items)


def pytest_sessionstart(session):
    for path in (MOSQUITTO, PLUGIN):
        if not os.path.exists(path):
            pytest.exit("%s is not there (build first, or set CHAT_BUILD_DIR)" % path, returncode=3)


@pytest.fixture
def brokers(request):
    """brokers(start=True, **Broker arguments) makes a broker; all are stopped and checked at the end."""
    made = []
    request.node.chat_brokers = made
    # A test that hangs shows where.
    faulthandler.dump_traceback_later(240, exit=False)

    def make(start=True, **arguments):
        one = Broker(**arguments)
        made.append(one)
        return one.start() if start else one

    yield make
    problems = []
    for one in made:
        problems += one.finish()
        request.node.user_properties += valgrind.properties(one)
    faulthandler.cancel_dump_traceback_later()
    if problems:
        pytest.fail("\n".join(problems[:20]), pytrace=False)


@pytest.fixture
def broker(brokers):
    """The plugin alone: MQTT clients only."""
    return brokers(bridge=False)


@pytest.fixture
def chat(brokers):
    """The plugin and one bridge."""
    return brokers()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if not report.failed:
        return
    for one in getattr(item, "chat_brokers", []):
        report.sections.append(("dialogue", "\n".join(one.transcript[-60:])))
        try:
            log = one.log()
        except OSError:
            log = getattr(one, "tail", "")
        report.sections.append(("broker log", log[-SHOWN:]))


def pytest_terminal_summary(terminalreporter):
    valgrind.summary(terminalreporter)
