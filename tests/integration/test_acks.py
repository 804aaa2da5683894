"""Every frame with ref gets exactly one answer; a resend, over whatever way, gets the first one's."""

import contextlib
import json
import os
import re
import signal
import sqlite3

import pytest

from harness.dialogue import ABSENT, TIMESTAMP, ULID
from harness.history import history_file, rows, wait_stored, with_history

A, B, C = "alice@example.com", "bob@example.com", "carol@example.com"


@pytest.fixture(params=["shared", "session"])
def chat(request, brokers):
    return with_history(brokers, fanout=request.param)


FRAMES = [
    ({"message": "hi"}, "ack"),
    ({"message": "hi", "room": "other"}, "ack"),
    ({"message": "psst", "to": B}, "ack"),
    ({"message": "psst", "to": "nobody@example.com"}, "ack"),
    ({"message": "note", "to": A}, "ack"),
    ({"type": "typing"}, "ack"),
    ({"type": "typing", "room": "other"}, "ack"),
    ({"type": "typing", "to": B}, "ack"),
    ({"type": "join", "room": "other"}, "ack"),
    ({"type": "join", "room": "general"}, "ack"),
    ({"type": "leave", "room": "other"}, "ack"),
    ({"type": "leave", "room": "general"}, "ack"),
    ({"type": "leave", "room": "never-joined"}, "ack"),
    ({"type": "history", "room": "general"}, "history"),
    ({"type": "history", "with": B}, "history"),
    ({"type": "token", "token": "x"}, None),
    ({"message": ""}, "error"),
    ({"message": "hi", "room": "No Such"}, "error"),
    ({"message": "hi", "to": "nobody"}, "error"),
    ({"message": "hi", "extra": 1}, "error"),
    ({"message": "x" * 4001}, "error"),
    ({"message": "hi", "from": B}, "error"),
    ({"type": "typing", "message": "x"}, "error"),
    ({"type": "join"}, "error"),
    ({"type": "join", "room": "No Such"}, "error"),
    ({"type": "leave", "room": 5}, "error"),
    ({"type": "history"}, "error"),
    ({"type": "history", "room": "general", "limit": 0}, "error"),
    ({"type": "nonsense"}, "error"),
]


@pytest.mark.parametrize("device", [None, "phone"])
def test_every_frame_is_answered_once(chat, device):
    bob = chat.ws(B)
    alice = chat.ws(A, **({"device": device} if device else {}))
    for n, (frame, kind) in enumerate(FRAMES):
        ref = "r%d" % n
        alice.send({**frame, "ref": ref})
        alice.send({"message": "end", "to": "end@example.com", "ref": "end%d" % n})
        got, outstanding = [], {ref, "end%d" % n}
        while outstanding:
            got.append(alice.next())
            outstanding.discard(got[-1].get("ref"))
        alice.rooms.clear()  # whichever it is in by now
        found = [f for f in got + alice._barrier() if f.get("ref") == ref]
        assert len(found) == 1, (frame, found)
        assert kind is None or found[0]["type"] == kind, (frame, found)
        if found[0]["type"] == "ack":
            wanted = {"type", "ref", "id", "timestamp"} if "message" in frame else {"type", "ref"}
            assert wanted <= set(found[0]) <= {"type", "ref", "id", "timestamp"}, found
    bob.close()


def test_all_of_them_in_one_packet(chat):
    """Sent before the session is in its rooms: each is answered once all the same."""
    alice = chat.raw_ws(A, device="phone")
    alice.send_bytes(b"".join(alice.frame(1, json.dumps({**frame, "ref": "r%d" % n}).encode())
                              for n, (frame, _) in enumerate(FRAMES)))
    missing = {"r%d" % n: kind for n, (_, kind) in enumerate(FRAMES)}
    while missing:
        frame = alice.next()
        if "ref" in frame:
            assert frame["ref"] in missing, frame
            kind = missing.pop(frame["ref"])
            assert kind in (None, frame["type"]), frame
    alice.rooms.clear()
    assert not [frame for frame in alice._barrier() if "ref" in frame]


def test_joins_of_one_room_while_the_first_is_pending(chat):
    """All in one packet: the second join comes before the broker has answered the first."""
    for n in range(5):
        alice = chat.raw_ws(A)
        alice.sync()
        refs = ["a", "b", "c"]
        alice.send_bytes(b"".join(alice.frame(1, b'{"type":"join","room":"room-%d","ref":"%s"}' % (n, ref.encode()))
                                  for ref in refs))
        got = [alice.expect(type="ack")["ref"] for _ in refs]
        assert sorted(got) == refs
        alice.rooms.add("room-%d" % n)
        alice.expect_nothing()
        alice.close()


def test_a_join_that_is_left_while_pending(chat):
    alice = chat.raw_ws(A)
    alice.sync()
    alice.send_bytes(b"".join(alice.frame(1, text) for text in (
        b'{"type":"join","room":"other","ref":"1"}', b'{"type":"leave","room":"other","ref":"2"}',
        b'{"type":"join","room":"other","ref":"3"}')))
    assert sorted(alice.expect(type="ack")["ref"] for _ in range(3)) == ["1", "2", "3"]
    alice.rooms.add("other")
    chat.mqtt(B).send({"message": "hi"}, room="other")
    alice.expect_message("hi", B, room="other")
    alice.expect_nothing()


def test_the_same_join_again(chat):
    """A join or leave is done each time: its ref means this frame, not the first one."""
    alice = chat.ws(A)
    for _ in range(3):
        for kind in ("join", "leave"):
            alice.send({"type": kind, "room": "other", "ref": "same"})
            alice.expect(type="ack", ref="same", id=ABSENT)
    alice.expect_nothing()


# resends

@pytest.mark.parametrize("way", ["another session", "another device", "the same device", "MQTT 5", "MQTT 3.1.1", "another bridge"])
@pytest.mark.parametrize("where", [{}, {"to": C}, {"room": "other"}], ids=["room", "direct", "other room"])
def test_a_resend_over_another_way(brokers, way, where):
    chat = brokers(options={"bridges": "2"} if way == "another bridge" else {})
    reader = chat.mqtt(C).read_room().read_room("other").read_inbox()
    alice = chat.ws(A, device="phone")
    alice.send({"message": "hi", "ref": "r", **where})
    first = alice.expect_ack("r")
    assert reader.expect_message("hi", A)["id"] == first["id"]
    if way.startswith("MQTT"):
        for qos in (0, 1, 2):
            other = chat.mqtt(A, 5 if way == "MQTT 5" else 4).read_notices()
            other.send({"message": "hi", "ref": "r"}, qos=qos, **where)
            assert other.expect_ack("r") == first
            other.expect_nothing()
    else:
        for n in range(6 if way == "another bridge" else 2):
            device = {"another device": {"device": "laptop"}, "the same device": {"device": "phone"}}.get(way, {})
            other = chat.ws(A, **device)
            other.send({"message": "hi", "ref": "r", **where})
            assert other.expect_ack("r") == first
            other.expect_nothing()
            if way == "the same device" and not n:
                alice.expect_close(4104)
    reader.expect_nothing()


def test_from_mqtt_to_a_session(chat):
    """The other way round."""
    reader = chat.mqtt(C).read_room()
    phone = chat.mqtt(A, 4).read_notices()
    for qos in (0, 1, 2):
        phone.send({"message": "hi", "ref": "r%d" % qos}, qos=qos)
        first = phone.expect_ack("r%d" % qos)
        reader.expect_message("hi", A)
        session = chat.ws(A)
        session.send({"message": "hi", "ref": "r%d" % qos})
        assert session.expect_ack("r%d" % qos) == first
        session.expect_nothing()
    reader.expect_nothing()
    phone.expect_nothing()


def test_refs_of_two_authors(chat):
    reader = chat.mqtt(C).read_room()
    alice, bob = chat.ws(A, rooms=["elsewhere"]), chat.ws(B, rooms=["elsewhere"])
    alice.send({"message": "a", "ref": "same", "room": "general"})
    bob.send({"message": "b", "ref": "same", "room": "general"})
    ids = [alice.expect_ack("same")["id"], bob.expect_ack("same")["id"]]
    assert {f["id"] for f in reader.expect_all({"message": "a"}, {"message": "b"})} == set(ids) and len(set(ids)) == 2
    # Nor do parts of names and refs run into each other.
    for user, ref in (("x@example.com", "y"), ("x@example.co", "my")):
        session = chat.ws(user, rooms=["elsewhere"])
        session.send({"message": user, "room": "general", "ref": ref})
        session.expect_ack(ref)
        reader.expect_message(user, user)


def test_a_resend_in_the_same_packet(chat):
    """The client had no time to wait for the first answer: two frames, two answers, one message."""
    reader = chat.mqtt(C).read_room()
    alice = chat.raw_ws(A)
    alice.sync()
    alice.send_bytes(alice.frame(1, b'{"message":"hi","ref":"r"}') * 3)
    first = alice.expect_ack("r")
    assert [alice.expect_ack("r") for _ in range(2)] == [first, first]
    assert reader.expect_message("hi", A)["id"] == first["id"]
    reader.expect_nothing()
    alice.expect_nothing()


def test_an_ack_is_for_a_message_that_since_and_pages_find(chat):
    """An ack stands for something: it can be asked for at once."""
    alice = chat.plain_ws(A).sync()
    for n in range(15):
        alice.send({"message": "m%d" % n, "ref": "r%d" % n})
        ack = alice.expect_ack("r%d" % n)
        alice.send({"type": "history", "room": "general", "limit": 1, "ref": "h%d" % n})
        [message] = alice.expect(type="history", ref="h%d" % n)["messages"]
        assert (message["id"], message["timestamp"]) == (ack["id"], ack["timestamp"])


# resends after something broke

def test_after_a_bridge_was_killed(chat):
    chat.allow("chat-bridge", "Socket error", "protocol error")
    reader = chat.mqtt(C).read_room()
    alice = chat.ws(A, device="phone")
    alice.send({"message": "hi", "ref": "r"})
    first = alice.expect_ack("r")
    reader.expect_message("hi", A)
    for device in ("phone", "laptop"):
        [pid] = chat.bridge_pids()
        os.kill(pid, signal.SIGKILL)
        chat.wait_bridges(1, but=(pid,))
        alice = chat.ws(A, device=device)
        alice.send({"message": "hi", "ref": "r"})
        assert alice.expect_ack("r") == first
        alice.expect_nothing()
    reader.expect_nothing()


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
@pytest.mark.parametrize("where", [{}, {"to": C}], ids=["room", "direct"])
def test_after_a_broker_restart(brokers, how, where):
    """History knows the refs of the last five minutes."""
    chat = with_history(brokers, history_sync="on")
    chat.allow(".*")
    alice, bob = chat.ws(A), chat.ws(B, rooms=["elsewhere"])
    alice.send({"message": "hi", "ref": "r", **where})
    alice.expect_all({"type": "ack", "ref": "r"}, *[{"code": "recipient_offline"}] * len(where))
    alice.send({"message": "hi", "ref": "r", **where})
    first = alice.expect_ack("r")
    bob.send({"message": "of bob", "ref": "r"})
    of_bob = bob.expect_ack("r")
    if how == "SIGTERM":
        assert chat.terminate() == 0
    else:
        chat.kill()
    chat.close_clients()
    chat.start()
    reader = chat.mqtt(C).read_room().read_room("elsewhere").read_inbox()
    alice, bob, phone = chat.ws(A), chat.ws(B, rooms=["elsewhere"]), chat.mqtt(A, 4).read_notices()
    for client in (alice, phone):
        client.send({"message": "hi", "ref": "r", **where}, **where)
        assert client.expect_ack("r") == first
        client.expect_nothing()
    bob.send({"message": "of bob", "ref": "r"})
    assert bob.expect_ack("r") == of_bob
    reader.expect_nothing()
    # Another ref is another message.
    alice.send({"message": "hi", "ref": "r2", **where})
    assert alice.expect_ack("r2")["id"] > first["id"]
    reader.expect_message("hi", A)


def test_a_ref_of_long_ago_is_free_again(brokers):
    """After five minutes a ref may mean something else; the file of an older day stands for the wait."""
    chat = with_history(brokers)
    alice = chat.ws(A)
    alice.send({"message": "old", "ref": "r"})
    first = alice.expect_ack("r")
    wait_stored(chat, first["id"])
    assert chat.terminate() == 0
    chat.close_clients()
    # Six minutes ago: the first ten characters of an id are milliseconds, 32 ** 3 of them are 33 s.
    digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    number = 0
    for character in first["id"][:10]:
        number = number * 32 + digits.index(character)
    number -= 360000
    older = ""
    for _ in range(10):
        number, digit = divmod(number, 32)
        older = digits[digit] + older
    older += first["id"][10:]
    with contextlib.closing(sqlite3.connect(history_file(chat))) as db, db:
        db.execute("UPDATE messages SET id = ?, body = replace(body, ?, ?)", (older, first["id"], older))
    chat.start()
    reader = chat.mqtt(C).read_room()
    alice = chat.ws(A)
    alice.send({"message": "new", "ref": "r"})
    ack = alice.expect_ack("r")
    assert ack["id"] > first["id"] and ULID.fullmatch(ack["id"]) and TIMESTAMP.fullmatch(ack["timestamp"])
    assert reader.expect_message("new", A)["id"] == ack["id"]


def test_refs_are_stored_for_that_and_shown_to_nobody(chat):
    alice, reader = chat.ws(A), chat.mqtt(C).read_room()
    alice.send({"message": "hi", "ref": "very-own-ref"})
    ack = alice.expect_ack("very-own-ref")
    frame = reader.expect_message("hi", A)
    assert b"very-own-ref" not in frame.raw and "very-own-ref" not in repr(frame.properties)
    wait_stored(chat, ack["id"])
    assert rows(chat, "SELECT ref FROM messages WHERE id = ?", ack["id"]) == [("very-own-ref",)]
    bob = chat.plain_ws(B).sync()
    bob.send({"type": "history", "room": "general", "ref": "h"})
    assert not re.search(rb"very-own-ref", bob.expect(type="history", ref="h").raw)
