"""Fixtures: image, and containers (a factory) that are taken away at the end. The clients of tests/integration are used
here too."""

import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "integration")]

from engine import Container, Image  # noqa: E402


def pytest_sessionstart(session):
    if not os.environ.get("CHAT_IMAGE"):
        pytest.exit("CHAT_IMAGE names no image (tests/container/run makes one)", returncode=3)


@pytest.fixture(scope="session")
def image():
    return Image(os.environ["CHAT_IMAGE"])


@pytest.fixture
def containers(request, image):
    """containers(wait=True, **Container arguments) starts one and waits until it is healthy."""
    made = []
    request.node.chat_containers = made

    def make(wait=True, **arguments):
        one = Container(image, **arguments)
        made.append(one)
        return one.wait_healthy() if wait else one

    yield make
    for one in made:
        one.finish()


@pytest.fixture
def chat(containers):
    return containers()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if not report.failed:
        return
    for one in getattr(item, "chat_containers", []):
        report.sections.append(("dialogue", "\n".join(one.transcript[-60:])))
        report.sections.append(("log of the container", one.log()[-20000:]))
