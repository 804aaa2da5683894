"""The clients and brokers of tests/integration are used here too. star: a hub and three nodes, for a whole module."""

import contextlib
import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "integration")]

from harness import valgrind  # noqa: E402  the path comes first
from star import Star  # noqa: E402

SHOWN = 20000  # characters of each log in the report of a failure
running, of_the_failed = [], []


def count(item, star):
    """For the summary."""
    for node in star:
        item.user_properties += valgrind.properties(node)


@pytest.fixture
def stars(request):
    """stars(nodes=3, **Star arguments): a hub and so many nodes that know each other, for one test."""
    made = []

    def make(*args, **arguments):
        one = Star(*args, **arguments)
        made.append(one)
        running.append(one)
        return one.start()

    yield make
    problems = [problem for one in made for problem in one.finish()]
    for one in made:
        running.remove(one)
        count(request.node, one)
    if problems:
        pytest.fail("\n".join(problems[:20]), pytrace=False)


@contextlib.contextmanager
def reported(one):
    """Its logs are in the report of what fails; it is ended, and must leave nothing behind."""
    running.append(one)
    try:
        yield one
    except BaseException:  # it did not even start; the report is made when it is gone
        of_the_failed.extend(one.logs())
        raise
    finally:
        problems = one.finish()
        running.remove(one)
    assert not problems, "\n".join(problems[:20])


@pytest.fixture(scope="session")
def report_on():
    return reported


@pytest.fixture(scope="module")
def shared_star(request):
    with reported(Star()) as one:
        yield one.start()
    count(request.session.chat_ending, one)


@pytest.fixture
def star(shared_star):
    yield shared_star
    for node in shared_star:
        node.close_clients()


def pytest_runtest_teardown(item):
    item.session.chat_ending = item  # what ends after it, in this process, is reported with it


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if not report.failed:
        return
    for name, log in of_the_failed + [pair for one in running for pair in one.logs()]:
        report.sections.append(("log of %s" % name, log[-SHOWN:]))
    of_the_failed.clear()


def pytest_terminal_summary(terminalreporter):
    valgrind.summary(terminalreporter)
