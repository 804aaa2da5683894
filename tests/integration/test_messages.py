"""Room messages over MQTT: what is sent on …/send, what arrives on the plain topic."""

import json
import re
import struct
import time

import pytest

from harness.dialogue import ABSENT, TIMESTAMP, ULID, wait_for
from harness.wire import PUBCOMP, PUBLISH, PUBREC, PUBREL, string, write_properties

EVERY_WAY = [(version, qos) for version in (4, 5) for qos in (0, 1, 2)]


@pytest.mark.parametrize("version, qos", EVERY_WAY)
def test_a_message_reaches_every_reader(broker, version, qos):
    alice = broker.mqtt("alice@example.com", version)
    readers = [broker.mqtt("bob@example.com", 4).read_room(), broker.mqtt("carol@example.com", 5).read_room(),
               broker.mqtt(None, 5).read_room(), broker.mqtt("dave", 4).read_room()]
    assert alice.send({"message": "hi"}, qos=qos) in (0, None)
    frames = [reader.expect_message("hi", "alice@example.com", room="general") for reader in readers]
    assert len({frame.raw for frame in frames}) == 1
    assert frames[0].topic == "chat/rooms/general"


@pytest.mark.parametrize("version", [4, 5])
def test_with_paho(broker, version):
    alice = broker.paho("alice@example.com", version).read_room()
    bob = broker.paho("bob@example.com", version).read_room().read_inbox()
    alice.send({"message": "hi"})
    bob.expect_message("hi", "alice@example.com", room="general")
    alice.expect_message("hi", "alice@example.com", room="general")
    alice.send({"message": "psst", "ref": "1"}, to="bob@example.com")
    frame = bob.expect_message("psst", "alice@example.com", to="bob@example.com")
    assert frame.topic == "chat/users/bob@example.com/inbox"
    bob.send({"message": ""})
    bob.expect_nothing()
    alice.expect_nothing()


def test_the_canonical_bytes(broker):
    alice, bob = broker.mqtt("alice@example.com"), broker.mqtt("bob@example.com").read_room()
    alice.send(b' {\n"timestamp": "2020-01-01T00:00:00Z", "mess\\u0061ge":"h\\u00e9 \\ud83d\\ude00 \\/ \\" \\\\ \\n\\u0001"} \r\n')
    frame = bob.expect_message("hé 😀 / \" \\ \n\u0001", "alice@example.com", room="general")
    text = frame.raw.decode()
    pattern = r'\{"id":"%s","sender":"alice@example\.com","room":"general","message":"(.*)","timestamp":"%s"\}'
    match = re.fullmatch(pattern % (ULID.pattern, TIMESTAMP.pattern), text)
    assert match, text
    # Only what JSON demands is escaped.
    assert match.group(1) == 'hé 😀 / \\" \\\\ \\n\\u0001'


def test_the_time_is_the_servers(broker):
    alice, bob = broker.mqtt("alice@example.com"), broker.mqtt("bob@example.com").read_room()
    before = time.time()
    alice.send({"message": "hi", "timestamp": "1999-12-31T23:59:59Z"})
    frame = bob.expect_message("hi", "alice@example.com")
    stamp = frame["timestamp"]
    seconds = time.mktime(time.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone + int(stamp[20:23]) / 1000
    assert before - 0.01 <= seconds <= time.time() + 0.01
    # The id says the same time.
    milliseconds = 0
    for character in frame["id"][:10]:
        milliseconds = milliseconds * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(character)
    assert abs(milliseconds - seconds * 1000) < 2


def test_ids_rise_and_order_is_kept(broker):
    alice, bob = broker.mqtt("alice@example.com"), broker.mqtt("bob@example.com").read_room()
    carol = broker.mqtt("carol@example.com", 4).read_room(qos=0)
    for n in range(300):
        alice.send({"message": "m%d" % n}, qos=n % 2)
    for reader in (bob, carol):
        frames = [reader.expect(message="m%d" % n) for n in range(300)]
        ids = [frame["id"] for frame in frames]
        assert ids == sorted(set(ids))


def test_ids_rise_over_all_rooms_and_authors(broker):
    authors = [broker.mqtt("a%d@example.com" % n, 4 + n % 2) for n in range(4)]
    reader = broker.mqtt("reader@example.com").read_room("one").read_room("two")
    for n in range(40):
        authors[n % 4].send({"message": "m%d" % n}, room=("one", "two")[n // 4 % 2])
    ids = [reader.expect(message="m%d" % n)["id"] for n in range(40)]
    assert ids == sorted(set(ids))


def test_rooms_are_apart(broker):
    alice = broker.mqtt("alice@example.com")
    one = broker.mqtt("bob@example.com").read_room("one")
    two = broker.mqtt("carol@example.com").read_room("two-2.x_y")
    alice.send({"message": "first"}, room="one")
    one.expect_message("first", "alice@example.com", room="one")
    alice.send({"message": "second", "room": "two-2.x_y"}, room="two-2.x_y")
    two.expect_message("second", "alice@example.com", room="two-2.x_y")
    one.expect_nothing()
    two.expect_nothing()


@pytest.mark.parametrize("room", ["a", "0", "-", ".", "..", "_", "x" * 64, "a.b-c_9"])
def test_room_names(broker, room):
    alice, bob = broker.mqtt("alice@example.com"), broker.mqtt("bob@example.com").read_room(room)
    assert alice.send({"message": "hi"}, room=room) == 0
    bob.expect_message("hi", "alice@example.com", room=room)


@pytest.mark.parametrize("room", ["x" * 65, "A", "a b", "ä", "a%20", "a@b", "general~", "$x", "a!"])
def test_what_is_no_room_name(broker, room):
    alice = broker.mqtt("alice@example.com").read_notices()
    reader = broker.mqtt("bob@example.com")
    reader.subscribe("chat/#")
    assert alice.send({"message": "hi", "ref": "r1"}, room=room) == 0x87
    assert alice.expect(type="error", code="invalid_room", ref="r1").get("field", "room") == "room"
    reader.expect_nothing()
    alice.alive()


@pytest.mark.parametrize("topic", ["chat/rooms//send", "chat/rooms/general/send/", "chat/rooms/general/send/x",
                                   "chat/rooms/a/b/send", "chat//rooms/general/send", "chat/rooms/send", "chat/x/send"])
def test_what_is_no_send_topic(broker, topic):
    alice = broker.mqtt("alice@example.com").read_notices()
    reader = broker.mqtt("bob@example.com")
    reader.subscribe("#")
    assert alice.publish(topic, {"message": "hi", "ref": "r1"}) == 0x87
    reader.expect_nothing()
    alice.expect(type="error", code=re.compile("not_allowed|invalid_room"))
    alice.alive()


def test_mqtt5_readers_get_the_properties(broker):
    alice, bob = broker.mqtt("alice@example.com", 4), broker.mqtt("bob@example.com").read_room()
    alice.send({"message": "hi"})
    properties = bob.expect_message("hi", "alice@example.com").properties
    assert properties["content-type"] == "application/json"
    assert properties["payload-format-indicator"] == 1
    assert [value for name, value in properties["user"] if name == "via"] == ["mqtt"]
    assert {name for name, _ in properties["user"]} <= {"via", "seq"}
    assert set(properties) == {"content-type", "payload-format-indicator", "user"}


@pytest.mark.parametrize("how", ["room", "inbox"])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_nothing_of_the_publisher_shines_through(broker, qos, how):
    alice = broker.mqtt("alice@example.com", client_id="alices-secret-id")
    bob = broker.mqtt("bob@example.com").read_room().read_inbox()
    code = alice.send({"message": "hi"}, to="bob@example.com" if how == "inbox" else None, qos=qos, properties={
        "payload-format-indicator": 0,
        "message-expiry-interval": 1000,
        "content-type": "text/evil",
        "response-topic": "evil/topic",
        "correlation-data": b"evil",
        "user": [("via", "ws"), ("evil", "evil"), ("seq", "99"), ("origin", "evil"), ("via", "evil")],
    })
    assert code in (0, None)
    frame = bob.expect_message("hi", "alice@example.com")
    assert "evil" not in repr(frame.properties) and "secret" not in repr(frame.properties)
    assert [value for name, value in frame.properties["user"] if name == "via"] == ["mqtt"]
    assert [value for name, value in frame.properties["user"] if name == "seq"] in ([], ["1"])
    # The broker takes the expiry for itself before any plugin is asked: it is the one thing that stays.
    assert set(frame.properties) <= {"content-type", "payload-format-indicator", "user", "message-expiry-interval"}
    assert frame.properties["content-type"] == "application/json"
    assert frame.properties["payload-format-indicator"] == 1


def test_seq_counts_each_room(broker):
    alice = broker.mqtt("alice@example.com")
    bob = broker.mqtt("bob@example.com").read_room("one").read_room("two")

    def seq(frame):
        return [value for name, value in frame.properties["user"] if name == "seq"]

    alice.send({"message": "1"}, room="one")
    alice.send({"message": "2"}, room="one", qos=0)
    alice.send({"message": "3"}, room="two")
    alice.send({"message": ""}, room="one")
    alice.send({"message": "4", "ref": "r"}, room="one")
    alice.send({"message": "4", "ref": "r"}, room="one")
    alice.send({"message": "5"}, room="one", qos=2)
    alice.send({"message": "6"}, room="one")
    assert [seq(bob.expect(message=str(n))) for n in range(1, 7)] == [["1"], ["2"], ["1"], ["3"], [], ["4"]]


@pytest.mark.parametrize("version, qos", EVERY_WAY)
def test_retain_is_cleared(broker, version, qos):
    alice, bob = broker.mqtt("alice@example.com", version), broker.mqtt("bob@example.com").read_room()
    alice.send({"message": "hi"}, qos=qos, retain=True)
    assert bob.expect_message("hi", "alice@example.com").retain is False
    late = broker.mqtt("late@example.com").read_room()
    for topic in ("chat/rooms/general/send", "chat/#", "chat/rooms/+/send"):
        late.subscribe(topic)
    late.expect_nothing()


def test_the_author_hears_itself_unless_no_local(broker):
    alice = broker.mqtt("alice@example.com").read_room()
    alice.send({"message": "one"})
    alice.expect_message("one", "alice@example.com")
    quiet = broker.mqtt("alice@example.com").read_room(no_local=True)
    quiet.send({"message": "two"})
    quiet.expect_nothing()
    alice.expect_message("two", "alice@example.com")


def test_from_room_and_timestamp_may_repeat_what_is_so(broker):
    alice, bob = broker.mqtt("alice@example.com"), broker.mqtt("bob@example.com").read_room()
    alice.send({"type": "message", "message": "hi", "from": "alice@example.com", "room": "general",
                "timestamp": "2024-02-29T23:59:60.123456789+00:00".replace(":60", ":59")})
    frame = bob.expect_message("hi", "alice@example.com", room="general")
    assert "from" not in frame and "type" not in frame


@pytest.mark.parametrize("message", [
    "x", "x" * 4000, "é" * 4000, "😀" * 4000, " x ", "\u200b", "\ufeff", "\u0001", "\x7f", "null",
    '{"message":"nested"}', "a\u2028b", "\U0010ffff", "\ufffe", "line\nline\ttab",
], ids=lambda m: "%d of %s" % (len(m), ascii(m[:3])))
def test_messages_that_are_fine(broker, message):
    alice, bob = broker.mqtt("alice@example.com"), broker.mqtt("bob@example.com").read_room()
    assert alice.send({"message": message}) == 0
    assert alice.send(json.dumps({"message": message}, ensure_ascii=False).encode()) == 0
    bob.expect_message(message, "alice@example.com")
    bob.expect_message(message, "alice@example.com")


# acks and refs

@pytest.mark.parametrize("version, qos", EVERY_WAY)
def test_an_ack_names_the_message(broker, version, qos):
    alice = broker.mqtt("alice@example.com", version).read_notices()
    bob = broker.mqtt("bob@example.com").read_room()
    alice.send({"message": "hi", "ref": "r-1"}, qos=qos)
    ack = alice.expect_ack("r-1")
    frame = bob.expect_message("hi", "alice@example.com")
    assert (ack["id"], ack["timestamp"]) == (frame["id"], frame["timestamp"])
    assert "ref" not in frame
    alice.send({"message": "no ref"}, qos=qos)
    bob.expect_message("no ref", "alice@example.com")
    alice.expect_nothing()


def test_acks_go_to_the_client_that_sent(broker):
    phone = broker.mqtt("alice@example.com", client_id="phone").read_notices()
    laptop = broker.mqtt("alice@example.com", client_id="lap/top+#").read_notices()
    laptop.send({"message": "hi", "ref": "1"})
    frame = laptop.expect_ack("1")
    assert frame.topic == "chat/users/alice@example.com/notices/lap%2Ftop%2B%23"
    phone.expect_nothing()
    phone.send({"message": "", "ref": "2"})
    phone.expect_error("empty_message", field="message", ref="2")
    laptop.expect_nothing()


def test_a_resend_delivers_nothing_and_gets_the_first_answer(broker):
    alice = broker.mqtt("alice@example.com").read_notices()
    other = broker.mqtt("alice@example.com", 4).read_notices()
    bob = broker.mqtt("bob@example.com").read_room().read_inbox()
    assert alice.send({"message": "hi", "ref": "r"}) == 0
    first = alice.expect_ack("r")
    bob.expect_message("hi", "alice@example.com")
    assert alice.send({"message": "hi", "ref": "r"}) == 0
    assert alice.expect_ack("r") == first
    # Over another session, with another QoS, another text, even to somebody else.
    assert other.send({"message": "other", "ref": "r"}, qos=2) == 0
    assert other.expect_ack("r") == first
    assert other.send({"message": "other", "ref": "r"}, to="bob@example.com", qos=0) is None
    assert other.expect_ack("r") == first
    bob.expect_nothing()
    alice.expect_nothing()


def test_refs_belong_to_their_author(broker):
    alice, bob = broker.mqtt("alice@example.com").read_notices(), broker.mqtt("bob@example.com").read_notices()
    reader = broker.mqtt("reader@example.com").read_room()
    alice.send({"message": "a", "ref": "r"})
    bob.send({"message": "b", "ref": "r"})
    reader.expect_message("a", "alice@example.com")
    reader.expect_message("b", "bob@example.com")
    assert alice.expect_ack("r")["id"] < bob.expect_ack("r")["id"]


def test_a_refused_ref_may_be_used_again(broker):
    alice = broker.mqtt("alice@example.com").read_notices()
    bob = broker.mqtt("bob@example.com").read_room()
    alice.send({"message": " ", "ref": "r"})
    alice.expect_error("empty_message", field="message", ref="r")
    alice.send({"message": "better", "ref": "r"})
    alice.expect_ack("r")
    bob.expect_message("better", "alice@example.com")
    alice.expect_nothing()


@pytest.mark.parametrize("ref", ["x", "x" * 64, "é" * 32, "\" \\ \n", "😀", " "], ids=ascii)
def test_refs_come_back_as_they_were(broker, ref):
    alice = broker.mqtt("alice@example.com").read_notices()
    alice.send({"message": "hi", "ref": ref})
    alice.expect_ack(ref)
    alice.send({"message": "", "ref": ref + "2" if len(ref) < 32 else "z"})
    alice.expect(type="error", ref=ref + "2" if len(ref) < 32 else "z")


def test_many_refs(broker):
    alice = broker.mqtt("alice@example.com").read_notices()
    ids = []
    for n in range(500):
        alice.send({"message": "m", "ref": "r%d" % n}, qos=0)
        ids.append(alice.expect_ack("r%d" % n)["id"])
    assert ids == sorted(set(ids))
    alice.send({"message": "m", "ref": "r0"})
    assert alice.expect_ack("r0")["id"] == ids[0]


def test_a_qos2_duplicate_before_pubrel_is_one_message(broker):
    alice = broker.mqtt("alice@example.com").read_notices()
    bob = broker.mqtt("bob@example.com").read_room()
    mid = struct.pack("!H", 77)
    body = string("chat/rooms/general/send") + mid + write_properties({}) + b'{"message":"once"}'
    alice.packet(PUBLISH, 4, body)
    assert alice._wait(PUBREC, mid) is not None
    alice.packet(PUBLISH, 12, body)
    assert alice._wait(PUBREC, mid) is not None
    alice.packet(PUBREL, 2, mid)
    assert alice._wait(PUBCOMP, mid) is not None
    bob.expect_message("once", "alice@example.com")
    bob.expect_nothing()
    assert broker.process.poll() is None


def test_topic_aliases(broker):
    """An alias stands for the topic as it was sent, whatever the plugin made of it for the readers."""
    alice = broker.mqtt("alice@example.com").read_notices()
    bob = broker.mqtt("bob@example.com").read_room().read_room("other").read_inbox()
    for qos in (0, 1, 2):
        alice.publish("chat/rooms/general/send", {"message": "one"}, qos=qos, properties={"topic-alias": 1})
        bob.expect_message("one", "alice@example.com", room="general")
        alice.publish("chat/users/bob@example.com/send", {"message": "two"}, qos=qos, properties={"topic-alias": 2})
        bob.expect_message("two", "alice@example.com", to="bob@example.com")
        for _ in range(2):
            alice.publish("", {"message": "again"}, qos=qos, properties={"topic-alias": 1})
            bob.expect_message("again", "alice@example.com", room="general")
            alice.publish("", {"message": "again"}, qos=qos, properties={"topic-alias": 2})
            bob.expect_message("again", "alice@example.com", to="bob@example.com")
        alice.publish("", b"nonsense", qos=qos, properties={"topic-alias": 1})
        alice.expect_error("invalid_json")
        alice.publish("chat/rooms/other/send", {"message": "moved"}, qos=qos, properties={"topic-alias": 1})
        bob.expect_message("moved", "alice@example.com", room="other")
    bob.expect_nothing()


@pytest.mark.parametrize("sent, wanted, got", [(0, 2, 0), (1, 2, 1), (2, 2, 2), (2, 0, 0), (1, 0, 0), (2, 1, 1)])
def test_the_qos_of_a_room_message(broker, sent, wanted, got):
    """As MQTT has it: the lower of the author's and the reader's."""
    alice, bob = broker.mqtt("alice@example.com"), broker.mqtt("bob@example.com").read_room(qos=wanted)
    alice.send({"message": "hi"}, qos=sent)
    assert bob.expect_message("hi", "alice@example.com").qos == got


def test_subscription_identifiers(broker):
    alice = broker.mqtt("alice@example.com")
    bob = broker.mqtt("bob@example.com").read_room(properties={"subscription-identifier": 7})
    alice.send({"message": "hi"})
    assert bob.expect_message("hi", "alice@example.com").properties["subscription-identifier"] == 7


# who is nobody

@pytest.mark.parametrize("user", [None, "", "alice", "alice@", "a b@example.com", "$chat", "alice@example.com "])
@pytest.mark.parametrize("qos", [1, 2])
def test_without_an_address_one_reads_but_does_not_speak(broker, user, qos):
    nobody = broker.mqtt(user).read_room()
    alice = broker.mqtt("alice@example.com").read_room()
    assert nobody.send({"message": "hi"}, qos=qos) == 0x87
    assert nobody.send({"message": "hi"}, to="alice@example.com", qos=qos) == 0x87
    nobody.send({"message": "hi"}, qos=0)
    alice.expect_nothing()
    alice.send({"message": "hello"})
    nobody.expect_message("hello", "alice@example.com")
    alice.expect_message("hello", "alice@example.com")
    old = broker.mqtt(user, 4)
    assert old.send({"message": "hi"}) == 0
    old.alive()
    alice.expect_nothing()


# typing

@pytest.mark.parametrize("version, qos", EVERY_WAY)
def test_typing_in_a_room(broker, version, qos):
    alice = broker.mqtt("alice@example.com", version).read_notices()
    bob = broker.mqtt("bob@example.com")
    bob.subscribe("chat/rooms/general/typing")
    bob.read_room()
    anybody = broker.mqtt(None)
    anybody.subscribe("chat/rooms/general/typing")
    alice.send({"type": "typing", "ref": "t1"}, qos=qos)
    frame = bob.expect(type="typing", sender="alice@example.com", room="general")
    assert set(frame) == {"type", "sender", "room"} and frame.topic == "chat/rooms/general/typing"
    anybody.expect(type="typing", sender="alice@example.com", room="general")
    alice.expect(type="ack", ref="t1")
    # Once a second is enough for the readers; the author need not count.
    alice.send({"type": "typing", "room": "general", "ref": "t2"}, qos=qos)
    alice.expect(type="ack", ref="t2")
    bob.expect_nothing()
    alice.send({"message": "hi"})
    bob.expect_message("hi", "alice@example.com")


def test_typing_to_a_person(broker):
    alice = broker.mqtt("alice@example.com").read_notices()
    bob, eve = broker.mqtt("bob@example.com"), broker.mqtt("eve@example.com")
    assert bob.subscribe("chat/users/bob@example.com/typing") < 0x80
    assert eve.subscribe("chat/users/bob@example.com/typing") >= 0x80
    eve.subscribe("chat/#")
    alice.send({"type": "typing", "to": "bob@example.com", "from": "alice@example.com"}, to="bob@example.com")
    frame = bob.expect(type="typing", sender="alice@example.com", room=ABSENT)
    assert set(frame) == {"type", "sender"}
    eve.expect_nothing()
    alice.expect_nothing()


def test_typing_comes_again_after_a_second(broker):
    alice = broker.mqtt("alice@example.com")
    bob = broker.mqtt("bob@example.com")
    bob.subscribe("chat/rooms/general/typing")
    alice.send({"type": "typing"})
    bob.expect(type="typing")
    end = time.monotonic() + 5
    again = 0
    while not again and time.monotonic() < end:
        alice.send({"type": "typing"})
        again = len(bob._barrier())
        time.sleep(0.05)
    assert again == 1


@pytest.mark.parametrize("more, code, field", [
    ({"message": "x"}, "unknown_field", "message"),
    ({"timestamp": "2024-01-01T00:00:00Z"}, "unknown_field", "timestamp"),
    ({"room": "other"}, "address_mismatch", None),
    ({"from": "eve@example.com"}, "sender_mismatch", "from"),
    ({"extra": "x"}, "unknown_field", "extra"),
])
def test_typing_holds_no_more(broker, more, code, field):
    alice = broker.mqtt("alice@example.com").read_notices()
    bob = broker.mqtt("bob@example.com")
    bob.subscribe("chat/rooms/general/typing")
    assert alice.send({"type": "typing", "ref": "t", **more}) == 0x87
    frame = alice.expect(type="error", code=code, ref="t")
    assert field is None or frame["field"] == field
    bob.expect_nothing()


# options that change messages

def test_another_root_and_room(brokers):
    broker = brokers(bridge=False, options={"topic_root": "house/chat", "room": "lobby"})
    alice = broker.mqtt("alice@example.com").read_notices()
    bob = broker.mqtt("bob@example.com").read_room()
    alice.send({"message": "hi", "ref": "1"})
    assert bob.expect_message("hi", "alice@example.com", room="lobby").topic == "house/chat/rooms/lobby"
    alice.expect_ack("1")
    # The usual root is nothing special here.
    other = broker.mqtt("carol@example.com")
    assert other.subscribe("chat/rooms/general/send") < 0x80
    other.publish("chat/rooms/general/send", b"as it is")
    assert other.next().raw == b"as it is"
    bob.expect_nothing()


def test_spanish_notices(brokers):
    broker = brokers(bridge=False, options={"notices": "es"})
    alice = broker.mqtt("alice@example.com").read_notices()
    alice.send({"message": " ", "ref": "1"})
    frame = alice.expect_error("empty_message", field="message", ref="1", sender="Sistema")
    assert "está" in frame["message"]


def test_the_system_sender(brokers):
    broker = brokers(bridge=False, options={"system_sender": "La \"casa\" é"})
    alice = broker.mqtt("alice@example.com").read_notices()
    alice.send({"message": " "})
    alice.expect_error("empty_message", field="message", sender="La \"casa\" é")


def test_unknown_fields_can_be_dropped(brokers):
    broker = brokers(bridge=False, options={"unknown_fields": "drop"})
    alice = broker.mqtt("alice@example.com").read_notices()
    bob = broker.mqtt("bob@example.com").read_room()
    alice.send({"message": "hi", "extra": {"a": [1, None]}, "id": 7, "sender": "eve@example.com", "ref": "r"})
    frame = bob.expect_message("hi", "alice@example.com", room="general")
    alice.expect_ack("r")
    assert frame["id"] != 7
    # What is known is checked as ever, and so is JSON.
    alice.send(b'{"message":"hi","extra":1,"extra":2,"message":"ho"}')
    alice.expect(type="error", code="duplicate_key")
    alice.send(b'{"message":"hi","extra":}')
    alice.expect(type="error", code="invalid_json")
    alice.send({"message": 5, "extra": 1})
    alice.expect_error("wrong_type", field="message")
    bob.expect_nothing()


def test_max_message_chars(brokers):
    broker = brokers(bridge=False, options={"max_message_chars": "10"})
    alice = broker.mqtt("alice@example.com").read_notices()
    bob = broker.mqtt("bob@example.com").read_room()
    assert alice.send({"message": "😀" * 10}) == 0
    bob.expect_message("😀" * 10, "alice@example.com")
    assert alice.send({"message": "x" * 11}) == 0x87
    alice.expect_error("too_long", field="message")
    bob.expect_nothing()


# rates

def test_rate_of_messages(brokers):
    broker = brokers(bridge=False, options={"rate_messages": None})
    phone = broker.mqtt("alice@example.com").read_notices()
    laptop = broker.mqtt("alice@example.com", 4).read_notices()
    bob = broker.mqtt("bob@example.com").read_room().read_notices()
    started = time.monotonic()
    for n in range(60):
        phone.send({"message": "m%d" % n, "ref": "p%d" % n}, qos=0)
        laptop.send({"message": "n%d" % n, "ref": "l%d" % n}, qos=0)
    answers = [client.next() for client in (phone, laptop) for _ in range(60)]
    took = time.monotonic() - started
    good = sum(1 for a in answers if a["type"] == "ack")
    limited = [a for a in answers if a["type"] == "error"]
    # 40 at once and 20 a second, for both clients together.
    assert 40 <= good <= 40 + 20 * took + 1
    assert len(limited) == 120 - good and {a["code"] for a in limited} == {"rate_limited"}
    assert all(a["ref"] for a in limited)
    for _ in range(good):
        bob.expect(sender="alice@example.com")
    bob.expect_nothing()
    # Somebody else is not limited by that, and nobody was thrown off.
    bob.send({"message": "calm", "ref": "b"})
    bob.expect_all({"message": "calm"}, {"type": "ack", "ref": "b"})
    phone.alive() and laptop.alive()


def test_rate_option(brokers):
    broker = brokers(bridge=False, options={"rate_messages": "1/s burst 2"})
    alice = broker.mqtt("alice@example.com").read_notices()
    assert [alice.send({"message": "m"}) for _ in range(3)] == [0, 0, 0x87]
    alice.expect_error("rate_limited")
    wait_for(lambda: alice.send({"message": "m"}) == 0, "a token after a second", 4)


def test_no_rate(broker):
    alice = broker.mqtt("alice@example.com")
    assert {alice.send({"message": "m"}) for _ in range(500)} == {0}
