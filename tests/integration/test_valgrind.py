"""One full dialogue with broker and bridges inside valgrind (CHAT_VALGRIND=1, or all): no leak, no bad access."""

import os

import pytest

pytestmark = pytest.mark.skipif(not os.environ.get("CHAT_VALGRIND"), reason="CHAT_VALGRIND is not set")

A, B, C = "alice@example.com", "bob@example.com", "carol@example.com"


def dialogue(chat):
    chat.allow(".*")
    alice, bob, bob2 = chat.ws(A), chat.ws(B), chat.plain_ws(B, echo="1")
    phone = chat.mqtt(C, 5).read_room().read_inbox().read_notices()
    old = chat.mqtt(C, 4, client_id="old", clean=False).read_inbox()
    bob2.sync()
    for n in range(20):
        alice.send({"message": "hi %d" % n, "ref": "r%d" % (n // 2)})
        alice.expect(type="ack", timeout=60)
    for reader in (bob, bob2, phone):
        for _ in range(10):
            reader.expect(timeout=60, sender=A)
    for qos in (0, 1, 2):
        for version in (4, 5):
            dave = chat.mqtt("dave@example.com", version, will=("chat/rooms/general", b"x", 1, False))
            dave.read_notices()
            dave.send({"message": "q", "ref": "a%d%d" % (qos, version)}, qos=qos, retain=True)
            dave.expect(type="ack", timeout=60)
            dave.send({"message": "psst", "to": B}, to=B, qos=qos)
            dave.send({"message": "psst"}, to="dave@example.com", qos=qos)
            dave.send({"message": "anybody?"}, to="away@example.com", qos=qos)
            dave.expect(type="system", timeout=60)
            for bad in (b"", b"nonsense", b'{"message":5,"ref":"x"}', b'{"message":"x","to":"y"}', b'{"massage":"x"}', b"x" * 300000):
                dave.send(bad, qos=qos)
                dave.expect(type="error", timeout=60)
            dave.publish("chat/rooms/general", b"{}", qos=qos)
            dave.expect(type="error", code="not_allowed", timeout=60)
            dave.send({"type": "typing"}, qos=qos)
            dave.subscribe("#")
            dave.subscribe("$share/g/chat/users/+/inbox")
            dave.publish("other/topic", b"x", qos=qos, retain=True)
            (dave.close if qos else dave.disconnect)()
    for user, client_id in ((A, "ws-x"), (None, "chat-bridge-1"), ("$chat-bridge", "x")):
        assert chat.mqtt_refused(user, client_id=client_id) == 0x87
    chat.hup()
    chat.wait_log("Reloading config")
    old.disconnect()
    alice.send({"message": "away", "to": C})
    phone.disconnect()
    os.kill(chat.bridge_pids()[0], 9)
    carol = chat.ws(C)
    carol.send({"message": "end", "ref": "end"})
    carol.expect(type="ack", ref="end", timeout=60)
    carol.close()


@pytest.mark.slow
@pytest.mark.parametrize("fanout", ["shared", "session"])
def test_the_broker_in_valgrind(brokers, fanout):
    chat = brokers(options={"fanout": fanout}, valgrind=True)
    dialogue(chat)
    assert chat.terminate() == 0
    # what was found is looked at when all is stopped: Broker.finish
