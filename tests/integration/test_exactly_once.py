"""QoS 2 across reconnects: the message that the author released is delivered once, as it was accepted."""

import struct

import pytest

from harness.wire import PUBCOMP, PUBLISH, PUBREC, PUBREL, string, write_properties

A, B = "alice@example.com", "bob@example.com"
MID = struct.pack("!H", 77)


def author(broker, version):
    return broker.mqtt(A, version, client_id="author", clean=False, session_expiry=600 if version == 5 else None)


def publish(client, topic, payload, dup=False):
    body = string(topic) + MID + (write_properties({}) if client.version == 5 else b"") + payload
    client.packet(PUBLISH, 12 if dup else 4, body)
    answer = client._wait(PUBREC, MID)
    assert answer is not None
    return answer[2] if len(answer) > 2 else 0


def release(client):
    client.packet(PUBREL, 2, MID)
    assert client._wait(PUBCOMP, MID) is not None


@pytest.mark.parametrize("ref", [True, False])
@pytest.mark.parametrize("way", ["room", "direct"])
@pytest.mark.parametrize("version", [4, 5])
def test_the_author_reconnects_before_the_release(broker, version, way, ref):
    bob = broker.mqtt(B).read_room().read_inbox()
    topic = "chat/rooms/general/send" if way == "room" else "chat/users/bob@example.com/send"
    payload = b'{"message":"once"%s}' % (b',"ref":"r"' if ref else b"")
    notices = broker.mqtt(A, client_id="author-2")
    first = author(broker, version)
    assert publish(first, topic, payload) == 0
    bob.expect_nothing()
    first.close()
    again = author(broker, version)
    assert again.session_present
    if ref:
        # The protocol's own repetition: the same packet id, the DUP flag.
        assert publish(again, topic, payload, dup=True) == 0
    release(again)
    bob.expect_message("once", A)
    bob.expect_nothing()
    again.alive() and notices.alive()


@pytest.mark.parametrize("version", [4, 5])
def test_repetitions_without_a_ref(broker, version):
    """Without a ref too it is one message, whatever happens to its id on the way."""
    bob = broker.mqtt(B).read_room()
    alice = author(broker, version)
    for n in range(3):
        assert publish(alice, "chat/rooms/general/send", b'{"message":"once"}', dup=n > 0) == 0
    release(alice)
    bob.expect_message("once", A)
    bob.expect_nothing()


def test_what_is_refused_is_never_released(broker):
    bob = broker.mqtt(B).read_room()
    alice = author(broker, 5)
    assert publish(alice, "chat/rooms/general/send", b"nonsense") == 0x87
    old = broker.mqtt(A, 4)
    assert publish(old, "chat/rooms/general/send", b"nonsense") == 0
    release(old)
    bob.expect_nothing()


@pytest.mark.parametrize("retain", [False, True])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_message_in_flight_opens_no_door(broker, qos, retain):
    """Who knows the canonical bytes of a message that waits for its release cannot say them again."""
    broker.allow("protocol error")
    listener = broker.mqtt(None)
    listener.subscribe("chat/#")
    control = broker.mqtt(None)
    control.subscribe("other/will")
    # A message whose bytes are known because an earlier one shows how they are made:
    # the author's own ack tells id and time.
    alice = author(broker, 5).read_notices()
    assert publish(alice, "chat/rooms/general/send", b'{"message":"once","ref":"r"}') == 0
    ack = alice.expect_ack("r")
    known = ('{"id":"%s","sender":"alice@example.com","room":"general","message":"once","timestamp":"%s"}'
             % (ack["id"], ack["timestamp"])).encode()
    eve = broker.mqtt("eve@example.com")
    assert eve.publish("chat/rooms/general", known, qos=qos, retain=retain) in (None, 0x87)
    assert alice.publish("chat/rooms/general", known, qos=qos, retain=retain) in (None, 0x87)
    for _ in range(2):
        ghost = broker.mqtt(A, will=("chat/rooms/general", known, qos, retain))
        witness = broker.mqtt(A, will=("other/will", b"now", 1, False))
        ghost.close()
        witness.close()
        assert control.next().raw == b"now"
    listener.expect_nothing()
    release(alice)
    assert listener.expect_message("once", A).raw == known
    listener.expect_nothing()
    late = broker.mqtt(B)
    late.subscribe("chat/#")
    late.expect_nothing()
