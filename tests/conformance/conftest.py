"""One broker for all cases of a process, a session for each, and the sums per section at the end."""

import os
import re
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "integration")]

from conversation import SECTIONS, Client  # noqa: E402  the path comes first
from harness import selection, valgrind  # noqa: E402
from harness.broker import MOSQUITTO, PLUGIN, Broker  # noqa: E402

SHOWN = 20000  # characters of the log in the report of a failure


def pytest_addoption(parser):
    selection.add_option(parser)


def pytest_collection_modifyitems(config, items):
    selection.keep_few(config, items)


def pytest_sessionstart(session):
    for path in (MOSQUITTO, PLUGIN):
        if not os.path.exists(path):
            pytest.exit("%s is not there (build first, or set CHAT_BUILD_DIR)" % path, returncode=3)


@pytest.fixture(scope="session")
def server(request):
    """Messages as long as the bounds allow, so that as much as possible of what is sent comes back. No pings of its own."""
    broker = Broker(options={"max_message_chars": "65000", "max_frame_bytes": "256k", "ping_interval": "1h"})
    broker.start()
    yield broker
    problems = broker.finish()
    request.session.chat_ending.user_properties += valgrind.properties(broker)
    if problems:
        pytest.fail("\n".join(problems[:20]), pytrace=False)


@pytest.fixture(scope="session")
def neighbour(server):
    """Stays connected through all cases: none of them may take the bridge along."""
    return Client(server, "neighbour@example.com")


@pytest.fixture
def connect(request, server, neighbour):
    """connect(): a session in a room of its own that gets back what it says."""
    request.node.chat_server = server
    made, said = [], len(server.transcript)
    request.node.chat_said = said

    def one(**more):
        client = Client(server, "case@example.com", **more)
        made.append(client)
        return client

    yield one
    for client in made:
        client.close()
        server.clients.remove(client)
    neighbour.answers()


@pytest.fixture
def client(connect):
    return connect()


def pytest_runtest_teardown(item):
    item.session.chat_ending = item  # what ends after it, in this process, is reported with it


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    server = getattr(item, "chat_server", None)
    if report.failed and server is not None:
        report.sections.append(("dialogue", "\n".join(server.transcript[item.chat_said:][-40:])))
        if os.path.exists(server.log_path):
            report.sections.append(("broker log", server.log()[-SHOWN:]))


def pytest_terminal_summary(terminalreporter):
    valgrind.summary(terminalreporter)
    sums = {}
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            section = re.search(r"test_(\w+)\.py", report.nodeid)
            if section is None or (outcome == "passed" and report.when != "call"):
                continue
            of = sums.setdefault(section.group(1), {})
            of[outcome] = of.get(outcome, 0) + 1
    terminalreporter.section("cases by section")
    for name, (number, title) in SECTIONS.items():
        if name in sums:
            counts = ", ".join("%d %s" % (n, outcome) for outcome, n in sums[name].items())
            terminalreporter.write_line("section %-4s %-34s %s" % (number, title, counts))
