"""Links that are cut, held and mended, brokers that stand still: nothing acknowledged is lost, nothing comes twice."""

import os
import signal
import time

from harness.history import Pour, raws, stored_ids, wait_stored
from star import LINKED

A = "alice@example.com"


class Listener:
    """Reads the room at a node; ids: what has come, in the order of arrival."""

    def __init__(self, node, n):
        self.node, self.client = node, node.mqtt("listener%d@example.com" % n).read_room()
        self.ids, self.senders = [], {}

    def until(self, count, timeout=2 * LINKED):
        end = time.monotonic() + timeout
        while len(self.ids) < count:
            try:
                frame = self.client.next(max(0.1, end - time.monotonic()))
            except TimeoutError:
                gaps = {sender: sorted(set(range(max(numbers) + 1)) - set(numbers)) for sender, numbers in self.senders.items()}
                raise AssertionError("%s: %d of %d came, missing within: %r, last: %r" % (
                    self.node.name, len(self.ids), count, gaps, {s: max(n) for s, n in self.senders.items()})) from None
            self.ids.append(frame["id"])
            self.senders.setdefault(frame["sender"], []).append(int(frame["message"]))
        return self


def talk(star, during, each=60, rate=60, reconnects=2):
    """One author at each node talks while `during` runs; then everybody must have everything once, each author in order."""
    listeners = [Listener(node, n) for n, node in enumerate(star)]
    pours = [Pour(node, "author%d@example.com" % n, rate=rate) for n, node in enumerate(star)]
    for pour in pours:
        pour.at_least(each // 3)
    during(pours)
    counts = [pour.stop() for pour in pours]
    total = sum(counts)
    for node, listener in zip(star, listeners):
        listener.until(total)
        assert len(set(listener.ids)) == total, "%s: %d of %d twice" % (node.name, total - len(set(listener.ids)), total)
        for n, count in enumerate(counts):
            # In the order sent, but for what mosquitto's link publishes while it reconnects, ahead of its queue.
            numbers = listener.senders["author%d@example.com" % n]
            assert sorted(numbers) == list(range(count)), (node.name, n)
            swaps = sum(a > b for a, b in zip(numbers, numbers[1:]))
            assert swaps <= reconnects and (swaps == 0 or n != star.nodes.index(node)), (node.name, n, swaps)
        listener.client.expect_nothing()
    assert len({frozenset(listener.ids) for listener in listeners}) == 1
    for node, listener in zip(star, listeners):
        wait_stored(node, *listener.ids)
        # in history in the order in which this node delivered
        known = set(listener.ids)
        assert [i for i in stored_ids(node) if i in known] == listener.ids, node.name
    return total


def at_least_more(pours, n):
    for pour in pours:
        pour.at_least(len(pour.sent) + n)


def talk_over_a_cut(star, more):
    """So many messages of each author while the link of the second node is cut."""
    def during(pours):
        star.wires[1].cut()
        at_least_more(pours, more)
        star.wires[1].mend()
        at_least_more(pours, 20)
    talk(star, during)


def test_a_link_that_is_cut(star):
    talk_over_a_cut(star, 60)


def test_links_that_are_cut_again_and_again(star):
    """In the middle of packets: what had been sent and not confirmed is sent again."""
    def during(pours):
        for n in range(8):
            wire = star.wires[n % 3]
            wire.cut()
            at_least_more(pours, 5)
            wire.mend()
            at_least_more(pours, 25)
    talk(star, during, rate=150, reconnects=16)


def test_a_hub_that_stands_still(star):
    def during(pours):
        star.hub.process.send_signal(signal.SIGSTOP)
        at_least_more(pours, 60)
        star.hub.process.send_signal(signal.SIGCONT)
        at_least_more(pours, 20)
    talk(star, during)


def test_a_hub_that_is_restarted(star):
    def during(pours):
        star.hub.stop()
        at_least_more(pours, 30)
        star.hub.start()
        at_least_more(pours, 20)
    talk(star, during)


def test_a_node_that_stands_still(star):
    """Its own author waits with it."""
    def during(pours):
        os.kill(star[2].pid, signal.SIGSTOP)
        at_least_more(pours[:2], 60)
        os.kill(star[2].pid, signal.SIGCONT)
        at_least_more(pours, 20)
    talk(star, during)


def test_direct_messages_over_a_cut(star):
    bob = star[2].mqtt("bob@example.com").read_inbox()
    alice, device = star[0].mqtt(A), star[1].mqtt(A).read_inbox()
    star.wires[2].cut()
    for n in range(20):
        assert alice.send({"message": "d%d" % n}, to="bob@example.com") in (0, 0x10)
    star.wires[2].mend()
    for n in range(20):
        assert raws([bob.expect_message("d%d" % n, A, timeout=LINKED)]) == raws([device.expect_message("d%d" % n, A, timeout=LINKED)])
    bob.expect_nothing()
    device.expect_nothing()
