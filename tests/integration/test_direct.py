"""Direct messages over MQTT: the recipient's inbox, the author's other clients, the notice when nobody is there."""

import time

import pytest

from harness.dialogue import ABSENT, wait_for
from harness.wire import topic_level

A, B = "alice@example.com", "bob@example.com"
EVERY_WAY = [(version, qos) for version in (4, 5) for qos in (0, 1, 2)]


@pytest.mark.parametrize("version, qos", EVERY_WAY)
def test_to_all_of_the_recipients_clients_and_nobody_else(broker, version, qos):
    alice = broker.mqtt(A, version).read_notices()
    phone, laptop = broker.mqtt(B, 5).read_inbox(), broker.mqtt(B, 4).read_inbox()
    eve = broker.mqtt("eve@example.com").read_inbox()
    eve.read_room()
    eve.subscribe("#")
    nobody = broker.mqtt(None)
    nobody.subscribe("#")
    alice.send({"message": "psst", "ref": "r"}, to=B, qos=qos)
    first = phone.expect_message("psst", A, to=B, room=ABSENT)
    second = laptop.expect_message("psst", A, to=B)
    assert first.raw == second.raw and first.topic == second.topic == "chat/users/bob@example.com/inbox"
    ack = alice.expect_ack("r")
    assert ack["id"] == first["id"] and ack["timestamp"] == first["timestamp"]
    for client in (phone, laptop, eve, nobody, alice):
        client.expect_nothing()
    assert first.properties["content-type"] == "application/json"
    assert ("via", "mqtt") in first.properties["user"]
    assert not first.retain


@pytest.mark.parametrize("version, qos", EVERY_WAY)
def test_the_author_finds_it_in_its_own_inbox(broker, version, qos):
    alice = broker.mqtt(A, version)
    other = broker.mqtt(A).read_inbox()
    bob = broker.mqtt(B).read_inbox()
    alice.send({"message": "psst", "to": B}, to=B, qos=qos)
    frame = bob.expect_message("psst", A, to=B)
    copy = other.expect_message("psst", A, to=B)
    assert copy.raw == frame.raw and copy.topic == "chat/users/alice@example.com/inbox"
    other.expect_nothing()


@pytest.mark.parametrize("version, qos", EVERY_WAY)
def test_to_oneself_it_comes_once(broker, version, qos):
    alice = broker.mqtt(A, version).read_notices()
    other = broker.mqtt(A).read_inbox()
    alice.send({"message": "note", "ref": "r"}, to=A, qos=qos)
    other.expect_message("note", A, to=A)
    alice.expect_ack("r")
    other.expect_nothing()
    alice.expect_nothing()


def test_addresses_in_topics(broker):
    """Encoded in the topic, plain in the JSON; raw special characters never reach a topic."""
    alice = broker.mqtt(A)
    for address in ("bob+tag@example.com", "bob/x@example.com", "bob#@example.com", "b%ob@example.com",
                    "bob&'=?^`{|}~!$*-_.@example.com"):
        bob = broker.mqtt(address).read_inbox()
        assert alice.send({"message": "hi", "to": address}, to=address) == 0
        frame = bob.expect_message("hi", A, to=address)
        assert frame.topic == "chat/users/%s/inbox" % topic_level(address)


@pytest.mark.parametrize("level", ["bob%40example.com", "bob@EXAMPLE.com", "%62ob@example.com"])
def test_other_spellings_of_an_address(broker, level):
    """Where a client publishes, every spelling of the address is that address."""
    alice, bob = broker.mqtt(A), broker.mqtt(B).read_inbox()
    assert alice.publish("chat/users/%s/send" % level, {"message": "hi"}) == 0
    frame = bob.expect_message("hi", A, to=B)
    assert frame.topic == "chat/users/bob@example.com/inbox"


@pytest.mark.parametrize("level", ["bob", "bob%example.com", "bob%4@example.com", "bob@-example.com", "b ob@example.com",
                                   "%", "bob%00@example.com", "x" * 65 + "@example.com", "bob@example.com%2Finbox"])
def test_bad_addresses_in_topics(broker, level):
    alice, bob = broker.mqtt(A).read_notices(), broker.mqtt(B).read_inbox()
    assert alice.publish("chat/users/%s/send" % level, {"message": "hi", "ref": "r"}) == 0x87
    assert alice.expect(type="error", code="invalid_email", ref="r").get("field", "to") == "to"
    bob.expect_nothing()
    alice.alive()


@pytest.mark.parametrize("language, sender, text", [
    ("en", "System", "bob@example.com is not connected"),
    ("es", "Sistema", "bob@example.com no está conectado"),
])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_the_recipient_is_away(brokers, language, sender, text, qos):
    broker = brokers(bridge=False, options={"notices": language})
    alice = broker.mqtt(A).read_notices()
    bob = broker.mqtt(B)
    bob.disconnect()
    alice.send({"message": "psst", "ref": "r"}, to=B, qos=qos)
    notice, ack = alice.expect_all(
        {"type": "system", "code": "recipient_offline", "sender": sender, "message": text}, {"type": "ack", "ref": "r"})
    assert set(notice) == {"type", "code", "sender", "message"}
    back = broker.mqtt(B).read_inbox()
    alice.send({"message": "there?"}, to=B, qos=qos)
    back.expect_message("there?", A)
    alice.expect_nothing()


def test_away_and_back_in_every_manner(broker):
    """Presence counts clients: a second one keeps a person there, a lost one counts as gone."""
    alice = broker.mqtt(A).read_notices()

    def is_away():
        alice.send({"message": "?", "ref": str(time.monotonic())}, to=B)
        frames = [alice.next()]
        if frames[0]["type"] == "ack":
            frames += alice._barrier()
        else:
            alice.expect(type="ack")
        return any(frame.get("code") == "recipient_offline" for frame in frames)

    assert is_away()
    one, two = broker.mqtt(B, 4), broker.mqtt(B, 5)
    assert not is_away()
    one.disconnect()
    assert not is_away()
    two.close()
    wait_for(is_away, "bob away after a lost connection")
    # Taken over by a client of the same id: one is there, not none and not two.
    broker.allow("protocol error")
    first = broker.mqtt(B, client_id="same")
    second = broker.mqtt(B, client_id="same")
    assert not is_away()
    assert first.ping() is False
    assert not is_away()
    second.disconnect()
    wait_for(is_away, "bob away after the take-over and the end")
    # A login that fails is nobody.
    assert broker.mqtt_refused(B, client_id="ws-guessed") is not None
    assert is_away()


def test_an_mqtt_reader_that_was_away_gets_it_later(broker):
    """A persistent MQTT session is the broker's: its queue holds what came meanwhile."""
    bob = broker.mqtt(B, client_id="keeper", clean=False, session_expiry=600).read_inbox().read_room()
    bob.disconnect()
    alice = broker.mqtt(A).read_notices()
    alice.send({"message": "direct"}, to=B)
    alice.expect(type="system", code="recipient_offline")
    alice.send({"message": "room"})
    bob = broker.mqtt(B, client_id="keeper", clean=False, session_expiry=600)
    assert bob.session_present
    bob.expect_all({"message": "direct", "to": B}, {"message": "room", "room": "general"})
    bob.expect_nothing()


def test_order_in_an_inbox(broker):
    alice, carol = broker.mqtt(A), broker.mqtt("carol@example.com", 4)
    bob = broker.mqtt(B).read_inbox()
    for n in range(200):
        (alice, carol)[n % 2].send({"message": "m%d" % n}, to=B, qos=n // 2 % 2)
    frames = [bob.next() for _ in range(200)]
    ids = [frame["id"] for frame in frames]
    assert ids == sorted(set(ids))
    for author in (A, "carol@example.com"):
        own = [int(frame["message"][1:]) for frame in frames if frame["sender"] == author]
        assert own == sorted(own) and len(own) == 100


def test_acks_do_not_overtake_the_truth(broker):
    """An ack stands for a message that the broker has: the recipient's copy exists when the author reads it."""
    alice = broker.mqtt(A).read_notices().read_inbox()
    for n in range(50):
        alice.send({"message": "m", "ref": "r%d" % n}, to=A, qos=n % 3)
        alice.expect_all({"message": "m", "to": A}, {"type": "ack", "ref": "r%d" % n})
