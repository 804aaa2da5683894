"""The end of a token: what is said before it, who goes, renewal; who comes back with the next one."""

import time

import pytest

from harness.dialogue import ANY, FACTOR
from harness.history import Replay, wait_stored
from harness.relay import Relay
from harness.tokens import (A, B, C, EXPIRING, FAULTS, WARNING, WORDS, Issuer, by_query, expect_expired, expect_refused,
                            expect_renewed, member, near_its_end, session, spoil, with_passwords,
                            with_tokens)


@pytest.fixture
def chat(brokers):
    return with_tokens(brokers)


# --- the end of a token ---

def test_nothing_is_said_long_before_the_end(chat):
    alice = session(chat, A)
    alice.expect_nothing()


def test_a_session_is_told_a_minute_before(chat):
    alice = chat.raw_ws(A, token=chat.issuer.token(A, WARNING + 3 * FACTOR), events="typing")
    alice.expect_ready()
    alice.expect_nothing()
    alice.expect(**EXPIRING)
    alice.expect_nothing()
    alice.send({"message": "and goes on", "ref": "1"})
    alice.expect_ack("1")


@pytest.mark.parametrize("held, seen", [("client", r"New client connected .* as ws-\S+ \(.*u'%s'"),
                                        ("broker", r"^\d+: ws-\S+ 1 chat/users/%s/inbox")])
def test_who_is_still_on_its_way_in_is_told_too(chat, held, seen):
    """The plugin looks for whom to warn between a session's CONNECT and its SUBSCRIBE, or between that and its rooms."""
    bob = session(chat, B)
    relay = Relay(chat)
    try:
        relay.hold(held)
        alice = chat.plain_ws(A, rooms=["elsewhere"], token=chat.issuer.ending(A))  # where nobody is yet
        chat.wait_log(seen % A)
        # Everybody is looked at together, so what bob is told comes after alice's turn.
        bob.send({"type": "token", "token": chat.issuer.ending(B), "ref": "1"})
        bob.expect_all({"type": "ack", "ref": "1"}, EXPIRING)
        relay.release()
        alice.expect(**EXPIRING)
    finally:
        relay.close()


def test_a_session_ends_with_its_token(chat):
    bob = session(chat, B)
    alice = chat.plain_ws(A, token=chat.issuer.ending(A))
    alice.expect(**EXPIRING)
    alice.send({"message": "still good", "ref": "1"})
    alice.expect_ack("1")
    bob.expect_message("still good", A)
    expect_expired(alice)
    chat.wait_log(r"session of %s.* closed: 4002 token expired" % A)
    bob.expect_nothing()


def test_each_session_has_its_own_end(chat):
    """Two sessions and an MQTT client of one person."""
    long = session(chat, A)
    mqtt = member(chat, A).read_room()
    short = near_its_end(chat, A)
    expect_expired(short)
    bob = session(chat, B)
    bob.send({"message": "who is left?"})
    long.expect_message("who is left?", B)
    mqtt.expect_message("who is left?", B)
    long.expect_nothing()


def test_the_notice_is_in_the_language_of_the_others(brokers):
    chat = with_tokens(brokers, notices="es")
    alice = chat.plain_ws(A, token=chat.issuer.ending(A, 5))
    frame = alice.expect(**dict(EXPIRING, sender="Sistema"))
    english = with_tokens(brokers, chat.issuer)
    assert frame["message"] != english.plain_ws(A, token=chat.issuer.ending(A, 5)).expect(**EXPIRING)["message"]


# --- renewal ---

def test_a_renewed_session_outlives_its_first_token(brokers):
    """The same session: nothing that is said meanwhile is lost or comes twice."""
    chat = with_tokens(brokers, ping_interval="10m")  # nobody answers one while another is waited for
    bob = session(chat, B)
    alice = near_its_end(chat, A, 4)
    other = near_its_end(chat, C, 4)  # whose end shows that the time is over
    for n in range(10):
        bob.send({"message": "before %d" % n})
    alice.send({"type": "token", "token": chat.issuer.token(A), "ref": "new"})
    for n in range(10):
        bob.send({"message": "after %d" % n})
    frames = [alice.next() for _ in range(21)]
    acks = [frame for frame in frames if frame.get("type") == "ack"]
    assert [(set(ack), ack["ref"]) for ack in acks] == [({"type", "ref"}, "new")], acks
    said = [frame["message"] for frame in frames if "id" in frame]
    assert said == ["%s %d" % (when, n) for when in ("before", "after") for n in range(10)], said
    other.drain_until_close(4002)
    alice.expect_nothing()
    alice.send({"message": "still here", "ref": "1"})
    bob.expect_message("still here", A)
    alice.expect_ack("1")


def test_a_renewal_may_be_shorter(chat):
    alice = session(chat, A)
    alice.send({"type": "token", "token": chat.issuer.ending(A), "ref": "1"})
    alice.expect_all({"type": "ack", "ref": "1"}, EXPIRING)
    expect_expired(alice)


def test_a_renewal_without_ref(brokers):
    chat = with_tokens(brokers, ping_interval="10m")  # as above
    alice = near_its_end(chat, A)
    other = near_its_end(chat, C)
    alice.send({"type": "token", "token": chat.issuer.token(A)})
    alice.expect_nothing()
    expect_expired(other)
    alice.expect_nothing()


def test_a_bad_renewal_leaves_everything_as_it_was(chat):
    alice = session(chat, A)
    for n, (_, make) in enumerate(FAULTS[1:]):
        alice.send({"type": "token", "token": make(chat.issuer), "ref": "r%d" % n})
        frame = alice.expect(type="error", code="invalid_token", ref="r%d" % n, sender="System", message=ANY)
        assert set(frame) <= {"type", "code", "message", "sender", "field", "ref"}, frame
    alice.send({"message": "still here", "ref": "1"})
    alice.expect_ack("1")
    short = near_its_end(chat, B)
    short.send({"type": "token", "token": chat.issuer.token(A), "ref": "1"})
    short.expect(type="error", code="invalid_token", ref="1")
    expect_expired(short)


def test_a_frame_that_is_no_renewal(chat):
    alice = session(chat, A)
    for n, frame in enumerate(({}, {"token": 1}, {"token": None}, {"token": ""}, {"token": chat.issuer.token(A), "room": "general"})):
        alice.send({"type": "token", "ref": "r%d" % n, **frame})
        alice.expect(type="error", ref="r%d" % n, code=ANY, message=ANY)
    alice.expect_nothing()


def test_nobody_reads_a_renewal(chat):
    """It goes past every topic that somebody could read."""
    bob = member(chat, B)
    bob.subscribe("#")
    alice_too = member(chat, A)
    alice_too.subscribe("#")
    alice = session(chat, A)
    token = chat.issuer.token(A)
    alice.send({"type": "token", "token": token, "ref": "1"})
    expect_renewed(alice, "1")
    alice.send({"message": "behind it"})
    for one in (bob, alice_too):
        frames = []
        while not frames or frames[-1].get("message") != "behind it":
            frames.append(one.next())
        assert not any(token.encode() in frame.raw for frame in frames), frames


@pytest.mark.parametrize("auth", [None, "none", "broker"])
def test_without_tokens_there_is_no_renewal(brokers, auth):
    chat = with_passwords(brokers) if auth == "broker" else brokers(options={"auth": auth})
    alice = chat.ws(A, **({"token": WORDS[A]} if auth == "broker" else {}))
    alice.send({"type": "token", "token": Issuer().token(A), "ref": "1"})
    alice.expect(type="error", code="unavailable", ref="1")


# --- history, devices ---

def test_since_and_pages(brokers):
    chat = with_tokens(brokers, history=True)
    alice, bob = session(chat, A), session(chat, B)
    ids = []
    for n in range(4):
        alice.send({"message": "room %d" % n, "ref": "r%d" % n})
        ids.append(alice.expect_ack("r%d" % n)["id"])
    alice.send({"message": "psst", "to": B, "ref": "d"})
    ids.append(alice.expect_ack("d")["id"])
    wait_stored(chat, *ids)
    bob.close()
    bob = chat.raw_ws(B, token=chat.issuer.token(B), since=ids[0])
    replay = Replay(bob)
    assert [frame["message"] for frame in replay.replay["general"]] == ["room 1", "room 2", "room 3"]
    assert [frame["message"] for frame in replay.replay["inbox"]] == ["psst"]
    bob.send({"type": "history", "room": "general", "ref": "p"})
    assert len(bob.expect(type="history", ref="p")["messages"]) == 4
    bob.send({"type": "history", "with": A, "ref": "q"})
    assert [one["message"] for one in bob.expect(type="history", ref="q")["messages"]] == ["psst"]
    by_query(chat, B, chat.issuer.token(A), since=ids[0]).expect_close(4101)


def test_after_the_end_since_brings_what_was_missed(brokers):
    chat = with_tokens(brokers, history=True)
    bob = session(chat, B)
    bob.send({"message": "seen", "ref": "0"})
    seen = bob.expect_ack("0")["id"]
    alice = near_its_end(chat, A)
    expect_expired(alice)
    bob.send({"message": "missed", "ref": "1"})
    wait_stored(chat, bob.expect_ack("1")["id"])
    replay = Replay(chat.raw_ws(A, token=chat.issuer.token(A), since=seen))
    assert [frame["message"] for frame in replay.replay["general"]] == ["missed"]


def test_a_device_comes_back_with_another_token(chat):
    bob = session(chat, B)
    expect_expired(near_its_end(chat, A, device="phone"))
    bob.send({"message": "while away", "ref": "1"})
    bob.expect_ack("1")
    bob.send({"message": "psst", "to": A, "ref": "2"})
    bob.expect_all({"type": "ack", "ref": "2"}, {"code": "recipient_offline"})
    alice = session(chat, A, device="phone")
    alice.expect_all({"message": "while away", "sender": B}, {"message": "psst", "sender": B, "to": A})
    # And takes its own place, with a token of its own.
    again = session(chat, A, device="phone")
    alice.expect_close(4104)
    again.expect_nothing()


def test_who_is_refused_holds_no_device_of_others(brokers):
    """Sixteen devices that are away: bad logins under their names keep none of them beyond its time."""
    chat = with_tokens(brokers, session_expiry="2s", rate_connects="off", max_sessions_per_user="40")
    bad = spoil(chat.issuer.token(A))
    phones = ["phone-%d" % n for n in range(16)]
    for name in phones:
        session(chat, A, device=name).close()
    end = time.monotonic() + 3.5 * FACTOR
    while time.monotonic() < end:
        for name in phones:
            one = by_query(chat, A, bad, device=name)
            expect_refused(one)
            one.close()
        time.sleep(0.3)  # often enough to hold them all
    session(chat, A, device="another").expect_nothing()
