"""Nodes that are away for a while: restarted, or not heard of."""

from harness.dialogue import wait_for
from harness.history import Pour, rows, stored_ids
from star import LINKED
from test_star import wait_online

A = "alice@example.com"


def test_a_node_that_is_restarted(stars):
    """Its link's queues are kept; what a link then repeats is known from history."""
    star = stars()
    first = Pour(star[0], A, rate=100)
    first.at_least(20)
    assert star[1].terminate() == 0
    star[1].close_clients()
    first.at_least(len(first.sent) + 50)
    star[1].start()
    count = first.stop()
    # Each node writes in its own time, the author's may be the last.
    for node in star:
        wait_for(lambda: len(stored_ids(node)) >= count, lambda: "%s: %d of %d" % (node.name, len(stored_ids(node)), count), LINKED)
    assert len(stored_ids(star[0])) == count and stored_ids(star[1]) == stored_ids(star[2]) == stored_ids(star[0])


def test_a_node_that_is_not_heard(stars):
    """After 10 s its people are offline at the others; when it is back, so are they, and history is settled again."""
    star = stars(2)
    star[1].ws(A)
    wait_online(star, here=(A,))
    star.wires[1].held = True
    star[0].wait_log("node node2 is not heard any more", timeout=25)
    wait_online([star[0]], away=(A,))
    wait_online([star[1]], here=(A,))
    here = star[0].mqtt("bob@example.com")
    here.send({"message": "anybody?"})
    settled = rows(star[0], "SELECT max(upto) FROM settled")
    star.wires[1].held = False
    wait_online(star, here=(A,), timeout=LINKED)
    wait_for(lambda: rows(star[0], "SELECT max(upto) FROM settled") > settled, "history is settled up to the new message", LINKED)
