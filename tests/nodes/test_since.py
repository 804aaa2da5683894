"""since= at another node than the one at which the id was seen: nothing is missed, whatever order each node has."""

import random

from harness.history import Pour, Replay, rows, stored_ids, wait_stored
from harness.dialogue import wait_for
from star import LINKED

A, B, C = "alice@example.com", "bob@example.com", "carol@example.com"


def say(author, text):
    assert author.send({"message": text}) == 0


def replay(node, since, user="mover@example.com", timeout=30):
    session = node.plain_ws(user, since=since, echo=1)
    got = Replay(session, timeout=timeout)
    got.session = session
    return got


def test_what_is_everywhere_is_not_replayed_again(star):
    author, readers = star[0].mqtt(A), [node.mqtt(B).read_room() for node in star]
    for n in range(5):
        say(author, "old %d" % n)
    for reader in readers:
        last = [reader.expect_message("old %d" % n, A) for n in range(5)][-1]
    for node in star:
        wait_stored(node, last["id"])
    wait_for(lambda: settled_everywhere(star), "all is settled", timeout=LINKED)
    say(author, "new 0")
    for reader in readers:
        marked = reader.expect_message("new 0", A)
    say(author, "new 1")
    for reader in readers:
        reader.expect_message("new 1", A)
    for node in star:
        wait_stored(node, marked["id"])
        got = replay(node, marked["id"])
        # behind the id; the id itself is known to whoever gives it
        assert got.texts() == ["new 1"] and got.complete() and got.complete("inbox"), (node.name, got.texts())
        got.session.close()


def settled_everywhere(star):
    return all((rows(node, "SELECT max(upto) FROM settled")[0][0] or 0) >= rows(node, "SELECT max(n) FROM messages")[0][0]
               for node in star)


def test_from_a_node_that_was_cut_off(star):
    """At node1 nothing of the others was seen; at node2 all of that stands before the id that was seen last."""
    a, b, c = (node.mqtt(user) for node, user in zip(star, (A, B, C)))
    reader = star[0].mqtt("mover@example.com").read_room()
    star.wires[0].cut()
    ids = []
    for n in range(4):
        say(b, "b%d" % n)
        say(c, "c%d" % n)
    for node in star.nodes[1:]:
        wait_for(lambda: sum(row[2].count('"message":"c3"') for row in rows(node)) == 1, "c3 at " + node.name)
    for n in range(3):
        say(a, "a%d" % n)
        ids.append(reader.expect_message("a%d" % n, A)["id"])
    reader.expect_nothing()
    star.wires[0].mend()
    for node in star.nodes[1:]:
        wait_stored(node, *ids, timeout=LINKED)
        got = replay(node, ids[-1])
        missed = {"%s%d" % (who, n) for who in "bc" for n in range(4)}
        assert missed <= set(got.texts()), (node.name, got.texts())
        assert got.complete() and len(got.texts()) == len(set(frame["id"] for frame in got.replay["general"]))
        got.session.close()


def test_to_a_node_that_was_cut_off(star):
    """What its own people said meanwhile stands before the id there; elsewhere it came later."""
    a, b = star[0].mqtt(A), star[1].mqtt(B)
    reader = star[2].mqtt("mover@example.com").read_room()
    star.wires[1].cut()
    for n in range(4):
        say(b, "own %d" % n)
        say(a, "far %d" % n)
    seen = [reader.expect_message("far %d" % n, A)["id"] for n in range(4)]
    reader.expect_nothing()
    # Before the id has come there: what is there comes, and that it may not be all is said.
    got = replay(star[1], seen[-1])
    assert {"own %d" % n for n in range(4)} <= set(got.texts()) and not got.complete(), got.texts()
    got.session.close()
    star.wires[1].mend()
    wait_stored(star[1], *seen, timeout=LINKED)
    got = replay(star[1], seen[-1])
    assert {"own %d" % n for n in range(4)} <= set(got.texts()) and got.complete(), got.texts()
    got.session.close()


def test_hopping_while_links_break(star):
    """A page that goes from node to node, each time with the last id it has, and drops what it knows."""
    dice = random.Random(7)
    pours = [Pour(node, "pour%d@example.com" % n, rate=40) for n, node in enumerate(star)]
    first = star[0].plain_ws("mover@example.com", echo=1)
    last = None
    while not last:
        last = first.next().get("id")
    first.close()
    seen = [last]
    cut = None
    for hop in range(12):
        node = dice.choice(star.nodes)
        got = replay(node, seen[-1])
        got.session_frames = [frame for frame in got.all() if frame["id"] not in set(seen)]
        seen += [frame["id"] for frame in got.session_frames]
        for _ in range(dice.randrange(1, 12)):
            frame = got.session.next(20)
            if frame.get("id") and frame["id"] not in seen:
                seen.append(frame["id"])
        got.session.close()
        if cut is None:
            cut = dice.choice(star.wires)
            cut.cut()
        else:
            cut.mend()
            cut = None
    if cut:
        cut.mend()
    for pour in pours:
        pour.stop()
    for node in star:
        wait_for(lambda: len({len(stored_ids(n)) for n in star}) == 1, lambda: repr([len(stored_ids(n)) for n in star]), LINKED)
    everything = stored_ids(star[0])
    got = replay(star[0], seen[-1])
    seen += [frame["id"] for frame in got.all()]
    wanted = everything[everything.index(seen[0]):]
    missing = [i for i in wanted if i not in set(seen)]
    assert not missing, "%d of %d are missing" % (len(missing), len(wanted))
