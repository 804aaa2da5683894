"""Every dialogue with two brokers, one with the plugin: what clients receive is the same."""

import pytest

from stage import at_once, compare, perform, registered

# An address as a user name is what the chat knows people by; to others' topics it makes no difference.
USERS = {"": None, " as an address": "somebody@example.com"}


# Once more under such a name, but for the older version, what takes long, and what names accounts of its own.
CASES = [(one, who) for one in registered for who in USERS
         if not who or (one.version != 4 and one.config == "open" and not one.slow and "access" not in one.name)]


@pytest.mark.parametrize("one, who", CASES, ids=lambda one: getattr(one, "name", one))
def test_same(pairs, one, who):
    without, loaded = pairs(one.config)
    named = one._replace(name=one.name + who)
    ours = at_once(lambda: perform(without, named, USERS[who]), lambda: perform(loaded, named, USERS[who]))
    assert ours[0], "nothing was received"
    compare(*ours)
