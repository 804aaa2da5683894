"""WebSocket sessions as dialogues: sections 3 and 4 of the protocol."""

import json
import re
import threading

import pytest

from harness.dialogue import ABSENT, ANY, TIMESTAMP, ULID, wait_for
from harness.websocket import HttpAnswer

A, B, C = "alice@example.com", "bob@example.com", "carol@example.com"


@pytest.fixture(params=["shared", "session", "two bridges"])
def everyway(request, brokers):
    """The same dialogues whichever way deliveries take."""
    options = {"shared": {}, "session": {"fanout": "session"}, "two bridges": {"bridges": "2"}}[request.param]
    return brokers(options=options)


def test_the_first_thing_a_user_does(everyway):
    chat = everyway
    listener = chat.mqtt(None, 4).read_room()
    alice, bob = chat.ws(A), chat.ws(B)
    alice.send({"message": "hi"})
    frame = bob.expect_message("hi", A, room="general")
    assert listener.expect_message("hi", A, room="general").raw == frame.raw
    joiner = chat.mqtt(B, 4)
    joiner.send(b'{"message":"hi"}')
    for reader in (alice, bob, listener):
        reader.expect_message("hi", B, room="general")
    alice.expect_nothing()
    bob.expect_nothing()


def test_a_plain_page(everyway):
    """No opt-in, no parameter, no ref: message frames and nothing else."""
    chat = everyway
    alice, bob = chat.plain_ws(A), chat.plain_ws(B).sync()
    alice.send({"message": "at once"})
    bob.expect_message("at once", A, room="general")
    bob.send({"message": "hello"})
    alice.expect_message("hello", B, room="general")
    chat.mqtt(B).send({"type": "typing"})
    alice.expect_nothing()
    bob.expect_nothing()


def test_frames_that_come_before_the_session_is_in_its_rooms_wait(everyway):
    chat = everyway
    reader = chat.mqtt(None).read_room()
    alice = chat.raw_ws(A)
    for n in range(20):
        alice.send({"message": "early %d" % n, "ref": str(n)})
    for n in range(20):
        reader.expect_message("early %d" % n, A)
        alice.expect_ack(str(n))


def test_frames_in_the_same_packet_as_the_upgrade(chat):
    """A client need not wait for the 101 before it sends."""
    reader = chat.mqtt(None).read_room()
    session = chat.raw_ws(A)
    frame = session.frame(1, b'{"message":"eager"}')
    head = ("GET /ws/%s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n" % B).encode()
    with chat.connect() as raw:
        raw.sendall(head + frame + frame)
        reader.expect_message("eager", B)
        reader.expect_message("eager", B)


# echo, own sessions, acks

def test_echo(everyway):
    chat = everyway
    quiet, loud = chat.ws(A), chat.ws(A, echo="1")
    quiet.send({"message": "one"})
    loud.expect_message("one", A)
    quiet.expect_nothing()
    loud.send({"message": "two"})
    loud.expect_message("two", A)
    quiet.expect_message("two", A)
    quiet.expect_nothing()
    loud.expect_nothing()


def test_echo_of_direct_messages(everyway):
    chat = everyway
    quiet, loud, bob = chat.ws(A), chat.ws(A, echo="1"), chat.ws(B)
    quiet.send({"message": "one", "to": B})
    loud.expect_message("one", A, to=B)
    bob.expect_message("one", A, to=B)
    quiet.expect_nothing()
    loud.send({"message": "two", "to": B})
    loud.expect_message("two", A, to=B)
    quiet.expect_message("two", A, to=B)
    bob.expect_message("two", A, to=B)
    for session in (quiet, loud, bob):
        session.expect_nothing()


def test_mqtt_clients_of_the_same_person_are_others(chat):
    """No copy to the author's own session means that one session."""
    alice = chat.ws(A)
    phone = chat.mqtt(A).read_room().read_inbox()
    bob = chat.ws(B)
    alice.send({"message": "one"})
    phone.expect_message("one", A)
    bob.expect_message("one", A)
    phone.send({"message": "two"})
    alice.expect_message("two", A)
    phone.send({"message": "three", "to": B}, to=B)
    alice.expect_message("three", A, to=B)
    alice.expect_nothing()


def test_acks(everyway):
    chat = everyway
    alice, bob = chat.ws(A), chat.ws(B)
    alice.send({"message": "hi", "ref": "r-1"})
    ack, frame = alice.expect_ack("r-1"), bob.expect_message("hi", A)
    assert (ack["id"], ack["timestamp"]) == (frame["id"], frame["timestamp"])
    alice.send({"message": "hi", "ref": "r-1"})
    assert alice.expect_ack("r-1") == ack
    bob.expect_nothing()
    alice.expect_nothing()


def test_a_resend_over_another_session(everyway):
    chat = everyway
    first = chat.ws(A)
    bob = chat.ws(B)
    first.send({"message": "hi", "ref": "r"})
    ack = first.expect_ack("r")
    bob.expect_message("hi", A)
    first.close()
    again = chat.ws(A)
    again.send({"message": "hi", "ref": "r"})
    assert again.expect_ack("r") == ack
    bob.expect_nothing()


def test_answers_reach_only_their_session(everyway):
    chat = everyway
    one, two = chat.ws(A), chat.ws(A)
    one.send({"message": "", "ref": "1"})
    one.expect_error("empty_message", field="message", ref="1")
    two.expect_nothing()
    two.send("nonsense")
    two.expect_error("invalid_json")
    one.expect_nothing()
    two.send({"message": "still here"})
    one.expect_message("still here", A)


# direct messages

def test_direct(everyway):
    chat = everyway
    alice, bob1, bob2, carol = chat.ws(A), chat.ws(B), chat.ws(B), chat.ws(C)
    phone = chat.mqtt(B).read_inbox()
    alice.send({"message": "psst", "to": B, "from": A, "timestamp": "2026-01-01T00:00:00Z", "ref": "1"})
    frames = [session.expect_message("psst", A, to=B, room=ABSENT) for session in (bob1, bob2, phone)]
    assert len({frame.raw for frame in frames}) == 1
    assert alice.expect_ack("1")["id"] == frames[0]["id"]
    carol.expect_nothing()
    alice.expect_nothing()
    bob2.send({"message": "what?", "to": A})
    alice.expect_message("what?", B, to=A)
    bob1.expect_message("what?", B, to=A)
    phone.expect_message("what?", B, to=A)
    bob2.expect_nothing()


def test_direct_to_oneself(everyway):
    chat = everyway
    one, two = chat.ws(A), chat.ws(A)
    one.send({"message": "note", "to": A, "ref": "1"})
    two.expect_message("note", A, to=A)
    one.expect_ack("1")
    one.expect_nothing()
    two.expect_nothing()


@pytest.mark.parametrize("language, sender, text", [
    ("en", "System", "bob@example.com is not connected"),
    ("es", "Sistema", "bob@example.com no está conectado"),
])
def test_the_recipient_is_away(brokers, language, sender, text):
    chat = brokers(options={"notices": language})
    alice = chat.ws(A)
    alice.send({"message": "psst", "to": B})
    frame = alice.expect(type="system", code="recipient_offline", sender=sender, message=text)
    assert set(frame) == {"type", "code", "sender", "message"}
    bob = chat.ws(B)
    alice.send({"message": "psst", "to": B, "ref": "1"})
    alice.expect_ack("1")
    bob.expect_message("psst", A, to=B)
    bob.close()

    def away():
        alice.send({"message": "psst", "to": B, "ref": str(len(chat.transcript))})
        frame = alice.next()
        if frame["type"] == "system":
            alice.expect(type="ack")
            return True
        return any(f["type"] == "system" for f in alice._barrier())
    wait_for(away, "bob away after closing")
    alice.send({"message": " "})
    alice.expect_error("empty_message", field="message", sender=sender)


def test_order_of_one_author(everyway):
    """A thousand quick frames, room and direct mixed: each way keeps its order."""
    chat = everyway
    alice, bob = chat.ws(A), chat.ws(B)
    phone = chat.mqtt(C).read_room()
    alice.send_many([{"message": "m%d" % n, **({"to": B} if n % 5 == 0 else {})} for n in range(1000)])
    room = [n for n in range(1000) if n % 5]
    frames = [bob.next() for _ in range(1000)]
    assert [f["message"] for f in frames if "room" in f] == ["m%d" % n for n in room]
    assert [f["message"] for f in frames if "to" in f] == ["m%d" % n for n in range(0, 1000, 5)]
    for n in room:
        phone.expect(message="m%d" % n)
    for kind in ("room", "to"):
        ids = [f["id"] for f in frames if kind in f]
        assert ids == sorted(set(ids))


def test_readers_see_the_same_order(everyway):
    chat = everyway
    authors = [chat.ws("a%d@example.com" % n) for n in range(4)] + [chat.mqtt("m%d@example.com" % n) for n in range(2)]
    readers = [chat.ws(B), chat.ws(C), chat.mqtt(None).read_room()]
    for n in range(20):
        for author in authors:
            author.send({"message": "%s-%d" % (author.name, n)})
    sequences = [[reader.expect(room="general")["id"] for _ in range(120)] for reader in readers]
    assert sequences[0] == sequences[1] == sequences[2] == sorted(set(sequences[0]))


# rooms

def test_rooms_in_the_query(everyway):
    chat = everyway
    alice = chat.ws(A, rooms=["one", "two"])
    bob = chat.ws(B, rooms=["two"])
    carol = chat.ws(C)
    bob.send({"message": "in two"})
    alice.expect_message("in two", B, room="two")
    alice.send({"message": "in one"})
    bob.expect_nothing()
    alice.send({"message": "two too", "room": "two"})
    bob.expect_message("two too", A, room="two")
    chat.mqtt(C).send({"message": "from outside"}, room="one")
    alice.expect_message("from outside", C, room="one")
    carol.expect_nothing()
    bob.expect_nothing()


def test_sending_to_a_room_one_is_not_in(everyway):
    chat = everyway
    alice, bob = chat.ws(A), chat.ws(B, rooms=["other"])
    alice.send({"message": "over there", "room": "other", "ref": "1"})
    bob.expect_message("over there", A, room="other")
    alice.expect_ack("1")
    alice.expect_nothing()


def test_join_and_leave(everyway):
    chat = everyway
    alice, bob = chat.ws(A), chat.ws(B, rooms=["other"])
    alice.send({"type": "join", "room": "other", "ref": "j"})
    alice.expect(type="ack", ref="j")
    bob.send({"message": "one"})
    alice.expect_message("one", B, room="other")
    alice.send({"message": "two", "room": "other"})
    bob.expect_message("two", A, room="other")
    # Without a room it still goes to the session's first.
    alice.send({"message": "three"})
    bob.expect_nothing()
    alice.send({"type": "leave", "room": "other", "ref": "l"})
    alice.expect(type="ack", ref="l")
    bob.send({"message": "four"})
    alice.expect_nothing()
    # Others stay.
    carol = chat.ws(C, rooms=["other"])
    bob.send({"message": "five"})
    carol.expect_message("five", B, room="other")
    alice.expect_nothing()


def test_join_without_ref_says_nothing(chat):
    alice, bob = chat.ws(A), chat.ws(B, rooms=["other"])
    alice.send({"type": "join", "room": "other"})
    alice.rooms.add("other")
    alice.sync()
    bob.send({"message": "hi"})
    alice.expect_message("hi", B, room="other")
    alice.send({"type": "leave", "room": "other"})
    alice.rooms.discard("other")
    alice.sync()
    bob.send({"message": "ho"})
    alice.expect_nothing()


def test_join_twice_is_once(everyway):
    chat = everyway
    alice, bob = chat.ws(A), chat.ws(B, rooms=["other"])
    for _ in range(3):
        alice.join("other")
    bob.send({"message": "hi"})
    alice.expect_message("hi", B, room="other")
    alice.expect_nothing()
    alice.leave("other")
    bob.send({"message": "ho"})
    alice.expect_nothing()


def test_leaving_the_last_room_keeps_the_session(everyway):
    chat = everyway
    alice, bob = chat.ws(A), chat.ws(B)
    alice.leave("general")
    bob.send({"message": "hi"})
    alice.expect_nothing()
    bob.send({"message": "psst", "to": A})
    alice.expect_message("psst", B, to=A)
    alice.join("general")
    bob.send({"message": "again"})
    alice.expect_message("again", B, room="general")


def test_join_and_leave_keep_up_with_a_busy_room(everyway):
    """Rooms whose last member leaves and comes back at once lose nothing of what is sent after the ack."""
    chat = everyway
    alice, bob = chat.ws(A), chat.mqtt(B)
    for n in range(30):
        alice.join("busy")
        bob.send({"message": "m%d" % n}, room="busy")
        alice.expect_message("m%d" % n, B, room="busy")
        alice.leave("busy")
        if n % 3 == 0:
            # It is over when that is known on both sides; asking to join again starts anew.
            bob.send({"message": "unheard"}, room="busy")
            alice.expect_nothing()
    alice.expect_nothing()


@pytest.mark.parametrize("kind", ["join", "leave"])
@pytest.mark.parametrize("more, code, field", [
    ({"room": "No Such"}, "invalid_room", "room"),
    ({"room": ""}, "invalid_room", "room"),
    ({"room": "x" * 65}, "invalid_room", "room"),
    ({"room": "#"}, "invalid_room", "room"),
    ({"room": "a/b"}, "invalid_room", "room"),
    ({}, "missing_field", "room"),
    ({"room": 5}, "wrong_type", "room"),
    ({"room": None}, "wrong_type", "room"),
    ({"room": ["a"]}, "wrong_type", "room"),
    ({"room": "other", "message": "x"}, "unknown_field", "message"),
    ({"room": "other", "extra": "x"}, "unknown_field", "extra"),
])
def test_bad_joins(chat, kind, more, code, field):
    alice, bob = chat.ws(A), chat.ws(B, rooms=["other"])
    alice.send({"type": kind, "ref": "r", **more})
    alice.expect_error(code, field=field, ref="r")
    alice.send({"type": kind, **more})
    alice.expect_error(code, field=field)
    bob.send({"message": "hi"})
    alice.expect_nothing()
    bob.expect_nothing()


@pytest.mark.parametrize("text, code, field", [
    ('{"type":"join","room":"a","room":"b","ref":"r"}', "duplicate_key", "room"),
    ('{"type":"join","type":"join","room":"a","ref":"r"}', "duplicate_key", "type"),
    ('{"type":"join","room":"a\\u0000","ref":"r"}', re.compile("invalid_room|invalid_character"), "room"),
])
def test_odd_joins(chat, text, code, field):
    alice = chat.ws(A)
    alice.send(text)
    alice.expect_error(code, field=field, ref="r")


@pytest.mark.parametrize("ref", ["", "x" * 65])
def test_bad_ref_in_a_join(chat, ref):
    alice = chat.ws(A)
    alice.send({"type": "join", "room": "other", "ref": ref})
    alice.expect_error("invalid_ref", field="ref")


@pytest.mark.parametrize("query", [
    "room=No%20Such", "room=a%2Fb", "room=" + "x" * 65, "room=a,B", "room=%23", "room=a,,b", "device=", "device=a%20b",
    "device=" + "x" * 65, "device=%C3%A9", "device=a.b", "events=nonsense", "events=typing,nonsense", "echo=yes",
])
def test_bad_parameters(chat, query):
    session = chat.raw_ws(A, path="/ws/%s?%s" % (A, query))
    session.expect_close(4100)


@pytest.mark.parametrize("query, rooms", [
    ("room=a&events=typing", ["a"]),
    ("events=typing&room=a,b", ["a", "b"]),
    ("room=a%2Cb&events=typing", ["a", "b"]),
    ("events=presence,typing", ["general"]),
    ("events=presence", ["general"]),
    ("room=a,a&events=typing", ["a"]),
    ("room=a-b_c.d&events=typing&echo=1&device=my-Phone_1", ["a-b_c.d"]),
    ("echo=0&events=typing", ["general"]),
])
def test_parameters(chat, query, rooms):
    alice = chat.raw_ws(A, path="/ws/%s?%s" % (A, query))
    frame = alice.expect_ready(rooms)
    assert frame["user"] == A and set(frame) == {"type", "user", "rooms"}
    assert frame["rooms"] == rooms


def test_another_default_room(brokers):
    chat = brokers(options={"room": "lobby", "topic_root": "my/chat"})
    alice, bob = chat.ws(A), chat.ws(B)
    listener = chat.mqtt(None).read_room()
    alice.send({"message": "hi"})
    bob.expect_message("hi", A, room="lobby")
    assert listener.expect_message("hi", A).topic == "my/chat/rooms/lobby"
    alice.send({"message": "psst", "to": B})
    bob.expect_message("psst", A, to=B)


# typing, devices, since, history, tokens

def test_typing(everyway):
    chat = everyway
    alice, bob, plain = chat.ws(A), chat.ws(B), chat.plain_ws(C).sync()
    alice.send({"type": "typing", "ref": "t"})
    frame = bob.expect(type="typing", sender=A, room="general")
    assert set(frame) == {"type", "sender", "room"}
    alice.expect(type="ack", ref="t")
    alice.send({"type": "typing", "to": B})
    frame = bob.expect(type="typing", sender=A, room=ABSENT)
    assert set(frame) == {"type", "sender"}
    plain.expect_nothing()
    bob.expect_nothing()


@pytest.mark.parametrize("more, code, field", [
    ({"message": "x"}, "unknown_field", "message"),
    ({"room": "No Such"}, "invalid_room", "room"),
    ({"to": "nobody"}, "invalid_email", "to"),
    ({"from": B}, "sender_mismatch", "from"),
])
def test_bad_typing(chat, more, code, field):
    alice, bob = chat.ws(A), chat.ws(B)
    alice.send({"type": "typing", "ref": "t", **more})
    alice.expect_error(code, field=field, ref="t")
    bob.expect_nothing()


def test_the_same_device_replaces(everyway):
    chat = everyway
    old = chat.ws(A, device="phone")
    other = chat.ws(A, device="laptop")
    bob = chat.ws(B, device="phone")
    new = chat.ws(A, device="phone")
    old.expect_close(4104)
    bob.send({"message": "hi"})
    new.expect_message("hi", B)
    other.expect_message("hi", B)
    new.send({"message": "ho"})
    bob.expect_message("ho", A)
    other.expect_message("ho", A)
    other.expect_nothing()
    new.expect_nothing()


def test_devices_many_times(chat):
    """Redials of one device follow each other at once: one stays, the others are told 4104."""
    bob = chat.ws(B)
    sessions = [chat.plain_ws(A, device="phone") for _ in range(12)]
    for session in sessions[:-1]:
        session.expect_close(4104)
    last = sessions[-1].sync()
    bob.send({"message": "hi"})
    last.expect_message("hi", B)


def test_since_without_history(everyway):
    """There is no history yet: each room and the inbox say so, and live messages follow."""
    chat = everyway
    bob = chat.mqtt(B)
    alice = chat.plain_ws(A, rooms=["one", "two"], since="01ARZ3NDEKTSV4RRFFQ69G5FAV")
    frames = alice.expect_all(
        {"type": "recovered", "room": "one", "complete": False, "count": 0},
        {"type": "recovered", "room": "two", "complete": False, "count": 0},
        {"type": "recovered", "inbox": True, "complete": False, "count": 0})
    assert set(frames[0]) == {"type", "room", "complete", "count"}
    assert set(frames[2]) == {"type", "inbox", "complete", "count"}
    bob.send({"message": "live"}, room="two")
    alice.expect_message("live", B, room="two")
    alice.expect_nothing()


@pytest.mark.parametrize("request_", [
    {"type": "history", "room": "general"},
    {"type": "history", "with": B, "limit": 10},
    {"type": "history", "room": "general", "before": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "limit": 200},
])
def test_history_is_not_there(chat, request_):
    alice, bob = chat.ws(A), chat.ws(B)
    alice.send({**request_, "ref": "h"})
    alice.expect_error("unavailable", ref="h")
    alice.send(request_)
    alice.expect_error("unavailable")
    bob.expect_nothing()


def test_tokens_are_not_there(chat):
    """Without authentication a token frame changes nothing, and is answered."""
    alice, bob = chat.ws(A), chat.ws(B)
    alice.send({"type": "token", "token": "x.y.z", "ref": "t"})
    assert alice.expect(ref="t", type=ANY)["type"] in ("ack", "error")
    alice.send({"message": "still here"})
    bob.expect_message("still here", A)


@pytest.mark.parametrize("kind", ["presence", "ready", "ack", "error", "system", "recovered", "Message", "", "ping"])
def test_types_a_client_may_not_send(chat, kind):
    alice, bob = chat.ws(A), chat.ws(B)
    alice.send({"type": kind, "message": "x", "ref": "r"})
    alice.expect_error("unknown_type", field="type", ref="r")
    bob.expect_nothing()


# what readers see of a session

def test_mqtt_readers_see_via_ws(everyway):
    chat = everyway
    reader = chat.mqtt(C).read_room()
    inbox = chat.mqtt(B).read_inbox()
    alice = chat.ws(A)
    alice.send({"message": "hi"})
    alice.send({"message": "psst", "to": B})
    for frame in (reader.expect_message("hi", A), inbox.expect_message("psst", A)):
        assert frame.properties["content-type"] == "application/json"
        assert frame.properties["payload-format-indicator"] == 1
        assert [value for name, value in frame.properties["user"] if name == "via"] == ["ws"]
        assert {name for name, _ in frame.properties["user"]} <= {"via", "seq", "origin"}


def test_a_session_shows_at_the_broker_and_its_id_to_nobody(everyway):
    chat = everyway
    alice, bob = chat.ws(A), chat.ws(B, device="phone")
    reader = chat.mqtt(None)
    reader.subscribe("chat/#")
    match = chat.wait_log(r"as (ws-[\w-]+) .*u'%s'" % re.escape(A))
    other = chat.wait_log(r"as (ws-[\w-]+) .*u'%s'" % re.escape(B))
    ids = (match.group(1), other.group(1))
    assert len(set(ids)) == 2 and all(len(i) >= 3 + 16 for i in ids)
    frames = []
    for session, to in ((alice, B), (bob, A)):
        session.send({"message": "hi", "ref": "1"})
        frames += [session.expect_ack("1"), reader.expect(message="hi")]
        frames.append((bob if session is alice else alice).expect(message="hi"))
        session.send({"message": "psst", "to": to})
        frames.append((bob if session is alice else alice).expect(message="psst"))
        session.send("nonsense")
        frames.append(session.expect(type="error"))
    for frame in frames:
        seen = frame.raw.decode() + repr(frame.properties) + repr(frame.topic)
        assert not any(i in seen for i in ids), seen


def test_a_closed_session_leaves_the_broker(everyway):
    chat = everyway
    alice = chat.ws(A)
    name = chat.wait_log(r"as (ws-[\w-]+) .*u'%s'" % re.escape(A)).group(1)
    alice.close()
    chat.wait_log(r"Client %s (\[.*\] )?(disconnected|closed)" % re.escape(name))
    # And one whose network is gone without a word, too.
    bob = chat.raw_ws(B)
    name = chat.wait_log(r"as (ws-[\w-]+) .*u'%s'" % re.escape(B)).group(1)
    bob.socket.close()
    chat.wait_log(r"Client %s (\[.*\] )?(disconnected|closed)" % re.escape(name))


def test_unicode_and_big_texts(everyway):
    chat = everyway
    alice, bob = chat.ws(A), chat.ws(B)
    texts = ["é😀\u2028", "x" * 4000, "😀" * 4000, "\"\\\u0001\x7f", " padded "]
    for text in texts:
        alice.send({"message": text})
        alice.send(json.dumps({"message": text}, ensure_ascii=False))
    for text in texts:
        first, second = bob.expect_message(text, A), bob.expect_message(text, A)
        assert first["id"] < second["id"]


def test_timestamp_of_the_server(chat):
    alice, bob = chat.ws(A), chat.ws(B)
    alice.send({"message": "hi", "timestamp": "1999-12-31T23:59:59+01:00"})
    frame = bob.expect_message("hi", A)
    assert not frame["timestamp"].startswith("1999")
    assert TIMESTAMP.fullmatch(frame["timestamp"]) and ULID.fullmatch(frame["id"])


def test_subprotocols(chat):
    """None is required and none is known here; asking for one is answered in HTTP or WebSocket, not by silence."""
    alice = chat.raw_ws(A)
    assert "sec-websocket-protocol" not in alice.headers
    assert "sec-websocket-extensions" not in alice.headers
    for asked in ("chat", "mqtt", "chat, superchat", "bearer, x.y.z"):
        try:
            session = chat.raw_ws(A, headers=[("Sec-WebSocket-Protocol", asked)], events="typing")
        except HttpAnswer as answer:
            assert answer.status in (400, 404) and answer.json, answer
            continue
        assert session.headers.get("sec-websocket-protocol") in (None, "bearer" if "bearer" in asked else None)
        session.expect_ready()


def test_sessions_of_many_people(everyway):
    """More than the broker's listen backlog of ten at once."""
    chat = everyway
    sessions, errors = [None] * 60, []

    def dial(n):
        try:
            sessions[n] = chat.ws("user%d@example.com" % n)
        except Exception as error:
            errors.append(error)
    threads = [threading.Thread(target=dial, args=(n,)) for n in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors and all(sessions)
    sessions[0].send({"message": "to all"})
    for session in sessions[1:]:
        session.expect_message("to all", "user0@example.com")
    sessions[59].send({"message": "psst", "to": "user1@example.com"})
    sessions[1].expect_message("psst", "user59@example.com")
    for session in sessions[2:5]:
        session.expect_nothing()
