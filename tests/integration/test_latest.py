"""plugin_opt_sessions latest: only the newest session of an address receives; older ones stay open and silent, and
nobody gets what the same address has sent."""

import pytest

from harness.dialogue import ABSENT, FACTOR, MARKER, TIMEOUT, Closed, wait_for
from harness.history import Pour

A, B, C = "alice@example.com", "bob@example.com", "carol@example.com"
LATEST = {"sessions": "latest"}
FANOUTS = ["shared", "session"]


@pytest.fixture(params=FANOUTS)
def chat(request, brokers):
    return brokers(options=dict(LATEST, fanout=request.param))


def goes_to(chat, one, *others, sender=C):
    """A room message and a direct one reach that session and none of the others."""
    author = chat.ws(sender)
    author.send({"message": "to all"})
    one.expect_message("to all", sender)
    author.send({"message": "psst", "to": A})
    one.expect_message("psst", sender, to=A)
    author.close()
    one.expect_nothing()
    for other in others:
        silent(other)


def silent(session):
    """Nothing has come and nothing comes but the answer to its own frame."""
    assert session.events.empty(), session.events.get()
    session.sync()


def gone(chat, n):
    wait_for(lambda: len([line for line in chat.log().splitlines() if "session of %s closed" % A in line]) >= n,
             "%d sessions of %s have ended" % (n, A))


def test_the_newest_receives(chat):
    first = chat.ws(A)
    goes_to(chat, first)
    second = chat.ws(A)
    goes_to(chat, second, first)
    third = chat.ws(A)
    goes_to(chat, third, first, second)


def test_when_the_newest_closes_the_next_receives(chat):
    first, second, third = chat.ws(A), chat.ws(A), chat.ws(A)
    third.close()
    gone(chat, 1)
    goes_to(chat, second, first)
    first.close()
    gone(chat, 2)
    goes_to(chat, second)
    again = chat.ws(A)
    goes_to(chat, again, second)
    again.close()
    gone(chat, 3)
    goes_to(chat, second)


def test_one_in_the_middle_closes(chat):
    first, second, third = chat.ws(A), chat.ws(A), chat.ws(A)
    second.close()
    gone(chat, 1)
    goes_to(chat, third, first)
    third.close()
    gone(chat, 2)
    goes_to(chat, first)


def test_a_silent_session_is_answered(chat):
    old = chat.ws(A, echo=1)
    new = chat.ws(A)
    bob = chat.ws(B)
    old.send({"message": "hi", "ref": "r1"})
    old.expect_ack("r1")
    bob.expect_message("hi", A)
    old.send({"message": ""})
    old.expect_error("empty_message", field="message")
    old.send({"message": "psst", "to": "nobody@example.com", "ref": "r2"})
    notices = old.expect_all({"type": "ack", "ref": "r2"}, {"type": "system", "code": "recipient_offline"})
    assert notices[1]["sender"] == "System"
    old.join("another")
    bob.join("another")
    bob.send({"message": "there", "room": "another"})
    bob.send({"message": "here"})
    new.expect_message("here", B)
    silent(old)


def test_own_messages_come_back_to_nobody(chat):
    """A page shows them itself, and is all of its sockets."""
    old, new, bob, phone = chat.ws(A), chat.ws(A), chat.ws(B), chat.mqtt(A)
    for author in (old, new):
        author.send({"message": "to all"})
        author.send({"message": "psst", "to": B})
        bob.expect_all({"message": "to all", "sender": A}, {"message": "psst", "sender": A})
    phone.send({"message": "by MQTT"})
    phone.send({"message": "by MQTT"}, to=B)
    bob.expect_all({"message": "by MQTT", "to": ABSENT}, {"message": "by MQTT", "to": B})
    new.expect_nothing()
    silent(old)


def test_own_messages_for_who_asks(chat):
    old, new, _ = chat.ws(A), chat.ws(A, echo=1), chat.ws(B)
    old.send({"message": "to all"})
    new.expect_message("to all", A)
    old.send({"message": "psst", "to": B})
    new.expect_all({"message": "psst", "sender": A, "to": B})
    silent(old)


def test_to_oneself(chat):
    old, new = chat.ws(A), chat.ws(A)
    old.send({"message": "note", "to": A})
    new.expect_message("note", A, to=A)
    new.send({"message": "mine", "to": A})
    new.expect_nothing()
    silent(old)


def test_rooms_of_its_own(chat):
    """Whoever is newest receives what it has asked for, not what older ones have."""
    old, new = chat.ws(A, rooms=["one"]), chat.ws(A, rooms=["two"])
    bob = chat.ws(B, rooms=["one", "two"])
    bob.send({"message": "in one", "room": "one"})
    bob.send({"message": "in two", "room": "two"})
    new.expect_message("in two", B, room="two")
    silent(old)
    new.close()
    gone(chat, 1)
    bob.send({"message": "in one", "room": "one"})
    old.expect_message("in one", B, room="one")


def test_several_rooms(chat):
    rooms = ["one", "two", "three"]
    old, new, bob = chat.ws(A, rooms=rooms), chat.ws(A, rooms=rooms), chat.ws(B, rooms=rooms)
    for room in rooms:
        bob.send({"message": "hi", "room": room})
    for room in rooms:
        new.expect_message("hi", B, room=room)
    silent(old)


def test_typing(chat):
    old, new, bob = chat.ws(A), chat.ws(A), chat.ws(B)
    bob.send({"type": "typing"})
    new.expect(type="typing", sender=B, room=chat.room)
    bob.send({"type": "typing", "to": A})
    new.expect(type="typing", sender=B, room=ABSENT)
    silent(old)
    new.close()
    gone(chat, 1)
    chat.ws(C).send({"type": "typing"})
    old.expect(type="typing", sender=C)


def presence_of(session, user, status="online"):
    """Reads until that is shown; the users of all frames on the way."""
    seen = []
    while True:
        frame = session.next(TIMEOUT)
        assert not isinstance(frame, Closed) and frame.get("type") == "presence", frame
        for entry in frame.get("users", [frame]):
            seen.append((entry["user"], entry["status"]))
            if seen[-1] == (user, status):
                return seen


def test_presence(chat):
    old = chat.ws(A, events="presence")
    presence_of(old, A)
    new = chat.ws(A, events="presence")
    presence_of(new, A)
    bob = chat.ws(B)
    presence_of(new, B)
    silent(old)
    new.close()
    gone(chat, 1)
    # It does not know what it has missed: a snapshot.
    seen = presence_of(old, B)
    assert set(seen) - {(MARKER, "online")} <= {(A, "online"), (B, "online")}
    chat.mqtt(C)
    presence_of(old, C)
    bob.close()


def test_mqtt_clients_are_no_sessions(chat):
    """They receive all of it, whatever sessions there are."""
    reader = chat.mqtt(A).read_inbox()
    old, new = chat.ws(A), chat.ws(A)
    chat.ws(B).send({"message": "psst", "to": A})
    reader.expect_message("psst", B, to=A)
    new.expect_message("psst", B, to=A)
    silent(old)


def test_redialling(chat):
    """As the clients that this is for do: one more each second, none closed."""
    author, sessions = chat.ws(B), []
    for n in range(12):
        sessions.append(chat.ws(A))
        author.send({"message": "message %d" % n})
        sessions[-1].expect_message("message %d" % n, B)
    for session in sessions[:-1]:
        silent(session)
    for n in reversed(range(1, len(sessions))):
        sessions[n].close()
        gone(chat, len(sessions) - n)
        author.send({"message": "after %d" % n})
        sessions[n - 1].expect_message("after %d" % n, B)


def test_a_device_that_comes_again(chat):
    other = chat.ws(A)
    old = chat.ws(A, device="phone")
    new = chat.ws(A, device="phone")
    old.expect_close(4104)
    goes_to(chat, new, other)


def test_the_oldest_gives_way(brokers):
    """Beyond max_sessions_per_user: refusing the newest would leave the person without a session that receives."""
    chat = brokers(options=dict(LATEST, max_sessions_per_user=3))
    sessions = [chat.ws(A) for _ in range(3)]
    for n in range(3):
        sessions.append(chat.ws(A))
        sessions[n].expect_close(4103)
        goes_to(chat, sessions[-1], sessions[-2], sessions[-3])


def test_the_only_session_gives_way(brokers):
    chat = brokers(options=dict(LATEST, max_sessions_per_user=1))
    old = chat.ws(A)
    new = chat.ws(A)
    old.expect_close(4103)
    goes_to(chat, new)


def test_each_message_once_while_sessions_come_and_go(chat):
    """Every session has its own way from the broker: a message comes on all of them, and is given once."""
    total = 400 if FACTOR == 1 else 100
    author = chat.ws(B)
    live = [chat.plain_ws(A).sync()]
    seen = []

    def collect(session):
        while not session.events.empty():
            event = session.events.get()
            if not isinstance(event, Closed):
                seen.append(event["message"])
    for n in range(total):
        author.send({"message": "m%d" % n, "to": A})
        if n % 4 == 0:
            live.append(chat.plain_ws(A))
        elif n % 4 == 2 and len(live) > 2:
            # with an open one below it: the last may still be on its way into its rooms
            session = live.pop(-2)
            session.close()
            collect(session)
    author.send({"message": "end", "to": A})

    def all_there():
        for session in live:
            collect(session)
        return "end" in seen
    wait_for(all_there, "the last message")
    assert sorted(seen) == sorted(["m%d" % n for n in range(total)] + ["end"])


def test_each_message_of_a_large_room_once_while_receivers_go(brokers):
    """A room's members have their turns one after the other: who receives now goes on where the one before was."""
    chat = brokers(options=dict(LATEST, rate_messages="off", rate_connects="off"))
    # Most of them take what comes into their sockets' buffers.
    readers = [chat.raw_ws("reader%d@example.com" % n, rooms=["general"]) for n in range(100)]
    old = chat.ws(A, ["general"])
    readers += [chat.raw_ws("more%d@example.com" % n, rooms=["general"]) for n in range(100)]
    pours = [Pour(chat, "pour%d@example.com" % n, rate=300, limit=300) for n in range(3)]
    seen = []

    def collect(session):
        while not session.events.empty():
            event = session.events.get()
            if not isinstance(event, Closed):
                seen.append((event["sender"], int(event["message"])))
    for n in range(30):
        new = chat.ws(A, ["general"])
        collect(old)
        pours[0].at_least(5 * n)
        new.close()
        collect(new)
    sent = {"pour%d@example.com" % n: pour.stop() for n, pour in enumerate(pours)}

    def all_there():
        collect(old)
        return len(seen) >= sum(sent.values())
    wait_for(all_there, "the last message")
    old.expect_nothing()
    for reader in readers:
        reader.close()
    # In order: what was still on its way to one of them comes before what the next one is given.
    assert {who: [n for sender, n in seen if sender == who] for who in sent} == {
        who: list(range(count)) for who, count in sent.items()}


def test_all_is_the_default(brokers):
    chat = brokers()
    first, second = chat.ws(A), chat.ws(A)
    chat.ws(B).send({"message": "hi"})
    first.expect_message("hi", B)
    second.expect_message("hi", B)


def test_not_with_several_bridges(brokers):
    log = brokers(start=False, options=dict(LATEST, bridges=2)).start_refused()
    assert "sessions" in log and "bridges" in log
