"""Links over interfaces that go down and up again, in networks of the test's own. Needs root."""

import os
import shutil

import pytest

from cables import Cables, inside
from harness.broker import free_port
from harness.dialogue import FACTOR, wait_for
from star import Hub, Node, Star
from test_links import at_least_more, talk


@pytest.fixture
def cables():
    if os.geteuid() != 0:
        pytest.skip("networks are made by root")
    if not shutil.which("ip"):
        pytest.skip("ip (iproute2) is not installed")
    # This process has its ports by a name that belongs to a network: to the one in which its later tests are.
    free_port()
    try:
        made = Cables(3)
    except OSError as error:
        pytest.skip("no networks can be made here: %s" % error)
    try:
        with inside(made.here):
            yield made
    finally:
        made.remove()


class Cabled(Star):
    """Without wires: each node goes to the hub's address at the end of its cable."""

    def __init__(self, cables):
        super().__init__(3)
        self.cables = cables
        self.hub = Hub(self.names, address="0.0.0.0", reach=cables.address(0), command=["ip", "netns", "exec", cables.there])

    def start(self):
        self.hub.start()
        for n, name in enumerate(self.names):
            node = Node(name, self.hub.port, hub_address=self.cables.address(n))
            # for the time of the test: that nobody is there is seen sooner, and that somebody is there again
            for old, new in (("keepalive_interval 10", "keepalive_interval 5"), ("restart_timeout 1 10", "restart_timeout 1 2")):
                assert old in node.connection, old
                node.connection = node.connection.replace(old, new)
            self.nodes.append(node)
            node.start()
        self.wait_together()
        return self


def test_interfaces_that_go_down(cables, report_on):
    with report_on(Cabled(cables)) as star:
        star.start()

        def during(pours):
            # for a moment: the connection stays, and what is on its way comes late
            cables.down(0)
            cables.down_there(2)
            at_least_more(pours, 40)
            cables.up(0)
            cables.up_there(2)
            at_least_more(pours, 20)
            # until the hub has given the connection up
            since = len(star.hub.log())
            cables.down(1)
            wait_for(lambda: "Client node2 has exceeded timeout" in star.hub.log()[since:], "the hub gives node2 up", 20 * FACTOR)
            at_least_more(pours, 20)
            cables.up(1)
            at_least_more(pours, 20)
        talk(star, during, each=15, reconnects=4)
