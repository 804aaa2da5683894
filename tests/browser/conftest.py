"""Fixtures: site (pages of these tests), browsers (a factory), browser (one for the module), page (a fresh page in it).

The brokers and their checks are those of tests/integration.
"""

import importlib.util
import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
INTEGRATION = os.path.join(HERE, "..", "integration")
sys.path[:0] = [HERE, INTEGRATION]

_spec = importlib.util.spec_from_file_location("integration_conftest", os.path.join(INTEGRATION, "conftest.py"))
_shared = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_shared)
brokers = _shared.brokers
pytest_sessionstart = _shared.pytest_sessionstart
pytest_runtest_makereport = _shared.pytest_runtest_makereport

from chromium import Browser  # noqa: E402
from proxy import Proxy  # noqa: E402
from site_server import Site  # noqa: E402


@pytest.fixture(scope="session")
def site():
    one = Site()
    yield one
    one.close()


@pytest.fixture
def browsers():
    """browsers(**Browser arguments) starts one; all end with the test."""
    made = []

    def make(**arguments):
        made.append(Browser(**arguments))
        return made[-1]

    yield make
    for one in made:
        one.quit()


@pytest.fixture(scope="module")
def browser():
    one = Browser()
    yield one
    one.quit()


@pytest.fixture
def page(browser, site):
    """The browser with the module loaded in a fresh page (pages/client.html)."""
    browser.open(site.url + "client.html")
    browser.wait("return window.loaded")
    browser.console()
    yield browser
    browser.offline(False)
    browser.js("for (const name in clients) clients[name].close()")
    browser.open("about:blank")


@pytest.fixture
def proxies():
    made = []

    def make(port):
        made.append(Proxy(port))
        return made[-1]

    yield make
    for one in made:
        one.close()
