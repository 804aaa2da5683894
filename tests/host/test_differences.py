"""The differences on purpose are there, are no others, and are documented; and a difference would be seen."""

import os
import re

import pytest

from harness.broker import REPO, mosquitto_version
from differences import DIFFERENCES
from stage import Dialogue, at_once, compare, perform, registered


@pytest.mark.parametrize("one", DIFFERENCES, ids=lambda one: one.name)
def test_difference(pairs, one):
    if one.only and mosquitto_version()[:2] != one.only:
        pytest.skip("not with this version of mosquitto")
    without, loaded = pairs("open")
    case = Dialogue("difference " + one.name, one.call, 5, "open", False)
    before, after = at_once(lambda: perform(without, case), lambda: perform(loaded, case))
    assert before != after, "this is no difference: take it out of the table"

    def rest(lines, pattern):
        return [line for line in lines if not pattern or not re.fullmatch(pattern, line)]
    compare(rest(before, one.without), rest(after, one.loaded))


def test_documented():
    with open(os.path.join(REPO, "docs", "operations.md")) as f:
        text = f.read().replace("\n", " ")
    for one in DIFFERENCES:
        assert "| %s | %s |" % (one.name, one.why) in text


def test_another_broker_would_be_seen(pairs):
    """Two brokers that differ in one option: the comparison is not blind."""
    plain, narrow = pairs("open")[0], pairs("narrow")[0]
    differing = 0
    for case in registered:
        if case.config == "open" and case.call.__name__ in ("what_the_broker_says_it_can", "empty_client_id_clean", "every_qos_to_every_qos",
                                                            "overlapping", "queue_while_away"):
            with pytest.raises(AssertionError, match="differs with the plugin"):
                compare(*at_once(lambda: perform(plain, case), lambda: perform(narrow, case)))
            differing += 1
    assert differing >= 5
