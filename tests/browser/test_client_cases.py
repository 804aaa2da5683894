"""The client module with a clock and a server of the test's own (pages/cases.js): what takes minutes, or never happens."""

import os
import re

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "pages", "cases.js")) as _f:
    NAMES = re.findall(r"^\tasync (\w+)\(", _f.read(), re.M)


@pytest.fixture(scope="module")
def cases(browser, site):
    browser.open(site.url + "cases.html")
    browser.wait("return window.loaded")
    return browser


def test_every_case_is_run(cases):
    assert cases.js("return window.names") == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_case(cases, name):
    cases.run("await runCase(arguments[0])", name)
