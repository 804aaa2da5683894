"""Fixtures: machine, a new Debian with mosquitto and without mosquitto-chat; deb and older, the package and the one before
it. The clients of tests/integration are used here too."""

import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "integration")]

from machine import Machine  # noqa: E402


def pytest_sessionstart(session):
    for name in ["CHAT_MACHINE", "CHAT_DEB", "CHAT_DEB_OLDER"]:
        if not os.path.exists(os.environ.get(name, "")):
            pytest.exit("%s is not there (tests/package/run makes it)" % name, returncode=3)


@pytest.fixture(scope="session")
def deb():
    return os.environ["CHAT_DEB"]


@pytest.fixture(scope="session")
def older():
    return os.environ["CHAT_DEB_OLDER"]


@pytest.fixture
def machine(request):
    one = Machine(os.environ["CHAT_MACHINE"])
    request.node.chat_machine = one
    yield one
    one.finish()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    one = getattr(item, "chat_machine", None)
    if report.failed and one and os.path.exists(os.path.join(one.folder, "output")):
        report.sections.append(("dialogue", "\n".join(one.transcript[-60:])))
        report.sections.append(("log of the broker", one.log()[-20000:]))
