"""Who may read and write which topic; nothing gets around it."""

import re
import subprocess
import time

import pytest

from harness.broker import mosquitto_version
from harness.dialogue import wait_for

A, B = "alice@example.com", "bob@example.com"
GENUINE = b'{"id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","sender":"bob@example.com","room":"general","message":"x","timestamp":"2026-11-22T14:07:31.482Z"}'

PLUGIN_ONLY = [
    "chat/rooms/general", "chat/rooms/general/typing", "chat/users/bob@example.com/inbox",
    "chat/users/bob@example.com/presence", "chat/users/bob@example.com/typing",
    "chat/users/bob@example.com/notices/phone", "chat/users/alice@example.com/inbox",
    "chat/users/alice@example.com/presence", "chat/users/alice@example.com/notices/mine",
]
NO_SUCH = ["chat", "chat/", "chat/x", "chat/rooms", "chat/users/bob@example.com", "chat/rooms/general/x",
           "chat/users/bob@example.com/inbox/x", "chat//rooms/general", "chat/send", "chat/rooms/general/typing/send"]
PRIVATE = ["chat/users/bob@example.com/inbox", "chat/users/bob@example.com/typing",
           "chat/users/bob@example.com/notices/phone", "chat/users/alice@example.com/notices/other"]
NOBODYS = ["chat/rooms/general/send", "chat/users/bob@example.com/send", "chat/users/alice@example.com/send"]


def readers(broker):
    phone = broker.mqtt(B, client_id="phone").read_room().read_inbox().read_notices()
    phone.subscribe("chat/#")
    nobody = broker.mqtt(None)
    nobody.subscribe("#")
    return phone, nobody


@pytest.mark.parametrize("topic", PLUGIN_ONLY + NO_SUCH)
@pytest.mark.parametrize("retain", [False, True])
def test_only_the_plugin_writes(broker, topic, retain):
    everybody = readers(broker)
    mine = broker.mqtt(A, client_id="mine").read_notices()
    old = broker.mqtt(A, 4)
    for payload in (GENUINE, b'{"message":"x"}', b""):
        assert mine.publish(topic, payload, qos=1, retain=retain) == 0x87
        mine.expect(type="error", code="not_allowed")
        assert mine.publish(topic, payload, qos=2, retain=retain) == 0x87
        mine.expect(type="error", code="not_allowed")
        mine.publish(topic, payload, qos=0, retain=retain)
        mine.expect(type="error", code="not_allowed")
        for qos in (0, 1, 2):
            assert old.publish(topic, payload, qos=qos, retain=retain) in (0, None)
    for client in (*everybody, mine):
        client.expect_nothing()
    mine.alive() and old.alive()
    late = broker.mqtt(B, client_id="phone2")
    late.subscribe("#")
    late.expect_nothing()


@pytest.mark.parametrize("topic", ["chat/rooms/general", "chat/users/bob@example.com/inbox"])
def test_somebody_without_an_address_writes_nothing(broker, topic):
    everybody = readers(broker)
    for user in (None, "bob"):
        nobody = broker.mqtt(user)
        for qos in (0, 1, 2):
            assert nobody.publish(topic, GENUINE, qos=qos) in (None, 0x87)
    for client in everybody:
        client.expect_nothing()


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("topic", PRIVATE + NOBODYS + NO_SUCH)
def test_private_topics_are_refused(broker, topic, version):
    alice = broker.mqtt(A, version)
    for spelling in (topic, "$share/group/" + topic):
        if topic.endswith("/") and version == 4 and spelling != topic:
            continue
        code = alice.subscribe(spelling)
        assert code == (0x87 if version == 5 else 0x80), spelling
    alice.alive()


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("user", [None, "alice"])
def test_what_one_reads_without_an_address(broker, version, user):
    nobody = broker.mqtt(user, version)
    assert nobody.subscribe("chat/rooms/general") == 1
    assert nobody.subscribe("chat/rooms/general/typing") == 1
    for topic in PRIVATE + NOBODYS + ["chat/users/bob@example.com/presence"]:
        assert nobody.subscribe(topic) >= 0x80, topic


def test_one_reads_ones_own(broker):
    alice = broker.mqtt(A, client_id="mine")
    for topic in ("chat/users/alice@example.com/inbox", "chat/users/alice@example.com/typing",
                  "chat/users/alice@example.com/notices/mine", "chat/users/alice@example.com/presence",
                  "chat/users/bob@example.com/presence", "chat/rooms/any", "chat/rooms/any/typing"):
        assert alice.subscribe(topic) == 1, topic
        assert alice.subscribe("$share/g/" + topic) == 1, topic
    other = broker.mqtt(A, client_id="other")
    assert other.subscribe("chat/users/alice@example.com/notices/mine") == 0x87


def test_the_domain_of_a_user_name_is_lowered(broker):
    """The user name in any case of the domain is the same person; topics are in lower case."""
    alice = broker.mqtt("Alice@EXAMPLE.com", client_id="mine")
    assert alice.subscribe("chat/users/Alice@example.com/inbox") == 1
    assert alice.subscribe("chat/users/Alice@example.com/notices/mine") == 1
    assert alice.subscribe("chat/users/alice@example.com/inbox") == 0x87
    reader = broker.mqtt(B).read_room().read_inbox()
    assert alice.send({"message": "hi", "from": "Alice@example.com", "ref": "r"}) == 0
    reader.expect_message("hi", "Alice@example.com")
    alice.expect_ack("r")
    assert alice.send({"message": "hi", "from": "Alice@EXAMPLE.COM"}, to="bob@EXAMPLE.com") == 0
    reader.expect_message("hi", "Alice@example.com", to=B)


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("pattern", [
    "#", "chat/#", "chat/users/#", "chat/users/+/inbox", "+/users/+/inbox", "chat/users/bob@example.com/#",
    "chat/users/bob@example.com/+", "chat/rooms/+/send", "chat/rooms/general/#", "chat/+/+/send", "+/+/+/+",
    "chat/users/+/notices/+", "chat/users/+/notices/#", "$share/g/#", "$share/g/chat/users/+/inbox",
])
def test_wildcards_show_nothing_private(broker, pattern, version):
    eve = broker.mqtt("eve@example.com", version)
    nobody = broker.mqtt(None, version)
    assert eve.subscribe(pattern) in (0, 1, 0x80, 0x87)
    assert nobody.subscribe(pattern) in (0, 1, 0x80, 0x87)
    alice = broker.mqtt(A, client_id="mine").read_notices()
    bob = broker.mqtt(B).read_inbox()
    alice.send({"message": "psst", "ref": "r"}, to=B)
    bob.expect_message("psst", A)
    alice.expect_ack("r")
    alice.send({"message": "", "ref": "r2"})
    alice.expect(type="error")
    alice.send({"type": "typing"}, to=B)
    eve.expect_nothing()
    nobody.expect_nothing()
    # It is a filter, not a wall: what is public comes through it where it fits.
    alice.send({"message": "hello"})
    if pattern in ("#", "chat/#", "chat/rooms/general/#", "$share/g/#"):
        (eve if "share" not in pattern else nobody).alive()
        frames = eve._barrier() + nobody._barrier()
        assert [f["message"] for f in frames] == ["hello"] * (1 if "share" in pattern else 2)


def test_a_shared_subscription_gets_the_room(broker):
    alice = broker.mqtt(A)
    group = [broker.mqtt("worker%d@example.com" % n) for n in range(3)]
    for worker in group:
        assert worker.subscribe("$share/g/chat/rooms/general") == 1
    for n in range(9):
        alice.send({"message": "m%d" % n})
    frames = [frame for worker in group for frame in worker._barrier()]
    assert sorted(frame["message"] for frame in frames) == ["m%d" % n for n in range(9)]


def test_a_wildcard_of_ones_own(broker):
    bob = broker.mqtt(B, client_id="phone")
    bob.subscribe("chat/users/+/inbox")
    bob.subscribe("chat/users/bob@example.com/#")
    alice = broker.mqtt(A)
    alice.send({"message": "psst"}, to=B)
    frames = bob._barrier()
    assert {f["message"] for f in frames} == {"psst"} and {f.topic for f in frames} == {"chat/users/bob@example.com/inbox"}


def test_a_shared_wildcard_does_not_swallow_messages(broker):
    """A member of a group who may not read a topic must not be where it ends: the readers outside get theirs."""
    eve = broker.mqtt("eve@example.com")
    eve.subscribe("$share/g/chat/users/+/inbox")
    bob = broker.mqtt(B).read_inbox()
    alice = broker.mqtt(A)
    for n in range(5):
        alice.send({"message": "m%d" % n}, to=B)
        bob.expect_message("m%d" % n, A)
    eve.expect_nothing()


def test_unsubscribe_is_always_fine(broker):
    alice = broker.mqtt(A)
    old = broker.mqtt(A, 4)
    for topic in PLUGIN_ONLY + PRIVATE + ["#", "chat/rooms/general/send", "other", "$SYS/#"]:
        assert alice.unsubscribe(topic), topic
        assert old.unsubscribe(topic), topic


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("topic, payload", [
    ("chat/rooms/general", GENUINE),
    ("chat/rooms/general/send", b'{"message":"from beyond"}'),
    ("chat/users/bob@example.com/inbox", GENUINE),
    ("chat/users/bob@example.com/send", b'{"message":"from beyond"}'),
    ("chat/users/bob@example.com/notices/phone", b'{"type":"error","code":"x","message":"x"}'),
    ("chat/users/bob@example.com/presence", b'{"status":"online"}'),
    ("chat/rooms/general/typing", b'{"type":"typing"}'),
])
@pytest.mark.parametrize("retain", [False, True])
def test_wills_say_nothing(broker, topic, payload, version, retain):
    broker.allow("protocol error")
    everybody = readers(broker)
    control = broker.mqtt(None)
    control.subscribe("other/will")
    for qos in (0, 1, 2):
        ghost = broker.mqtt(A, version, will=(topic, payload, qos, retain))
        # A client of its own shows when wills have been sent.
        witness = broker.mqtt(A, version, will=("other/will", b"%d" % qos, 1, False))
        ghost.close()
        witness.close()
        assert control.next().raw == b"%d" % qos
    for client in everybody:
        frames = [f for f in client._barrier() if f.topic.startswith("chat/")]
        assert not frames
    late = broker.mqtt(B, client_id="phone")
    for topic in ("chat/#", "chat/rooms/general", "chat/users/bob@example.com/inbox"):
        late.subscribe(topic)
    late.expect_nothing()


@pytest.mark.parametrize("topic", ["$CONTROL/dynamic-security/v1", "$CONTROL/chat/v1", "$CONTROL/x"])
@pytest.mark.parametrize("other", ["allow", "defer"])
def test_control_topics_stay_closed(brokers, topic, other):
    broker = brokers(bridge=False, options={"other_topics": other})
    for user in (A, None, "$chat-bridge-x"):
        client = broker.mqtt(user)
        # 2.1 has a neutral answer for plugins; what then remains is its own: nobody listens there.
        assert client.publish(topic, b"{}", qos=1) == (0x87 if mosquitto_version() < (2, 1) else 0)
        client.publish(topic, b"{}", qos=0)
        client.alive()


def test_topics_outside_are_the_operators(broker):
    one, two = broker.mqtt(None, 4), broker.mqtt("whoever", 5)
    for topic in ("other/topic", "chatter", "cha", "chat2/rooms/general", "a/chat/rooms/general/send", "/chat/rooms/general"):
        assert two.subscribe(topic) == 1
        one.publish(topic, b"\x00as it is\xff", qos=1)
        frame = two.next()
        assert frame.raw == b"\x00as it is\xff" and frame.topic == topic
        assert frame.properties == {}
    two.publish("other/kept", b"kept", retain=True, properties={"content-type": "text/x", "user": [("a", "b")]})
    late = broker.mqtt(None, 5)
    late.subscribe("other/#")
    frame = late.next()
    assert (frame.raw, frame.retain) == (b"kept", True)
    assert frame.properties == {"content-type": "text/x", "user": [("a", "b")]}
    assert late.subscribe("$SYS/broker/version") < 0x80
    assert late.next().raw.startswith(b"mosquitto version")


def test_an_acl_file_still_rules_outside(brokers):
    broker = brokers(start=False, bridge=False)
    acl = broker.file("acl", "topic readwrite open/#\nuser alice@example.com\ntopic readwrite hers/#\n")
    broker.lines.append("acl_file " + acl)
    broker.start()
    alice, bob = broker.mqtt(A), broker.mqtt(B)
    alice.subscribe("hers/x"), bob.subscribe("hers/x")
    assert alice.publish("hers/x", b"1") == 0
    assert alice.next().raw == b"1"
    assert bob.publish("hers/x", b"2") == 0x87
    bob.expect_nothing()
    alice.expect_nothing()
    # The acl_file speaks of no chat topic; the plugin does.
    bob.read_room()
    assert alice.send({"message": "hi"}) == 0
    bob.expect_message("hi", A)


def test_other_topics_can_be_left_to_others(brokers):
    broker = brokers(bridge=False, options={"other_topics": "defer"})
    alice, bob = broker.mqtt(A), broker.mqtt(B).read_room()
    if mosquitto_version() < (2, 1):
        # Nobody else is there who would allow it.
        assert alice.publish("other", b"x") == 0x87
    assert alice.send({"message": "hi"}) == 0
    bob.expect_message("hi", A)


@pytest.fixture
def guarded(brokers):
    """A broker whose operator has a password_file."""
    broker = brokers(start=False, bridge=False)
    path = broker.file("passwords", "", 0o600)
    for user, word in ((A, "rabbit"), (B, "builder")):
        subprocess.run(["mosquitto_passwd", "-b", path, user, word], check=True)
    broker.lines += ["password_file " + path]
    return broker


def test_a_password_file_still_rules(guarded):
    guarded.start()
    alice = guarded.mqtt(A, password="rabbit").read_room()
    assert guarded.mqtt_refused(A, password="wrong") in (0x86, 0x87)
    assert guarded.mqtt_refused(A, version=4) in (4, 5)
    assert guarded.mqtt_refused("eve@example.com", password="x") in (0x86, 0x87)
    bob = guarded.mqtt(B, password="builder").read_room().read_notices()
    bob.send({"message": "hi", "ref": "1"})
    alice.expect_message("hi", B)
    bob.expect_all({"type": "ack", "ref": "1"}, {"message": "hi"})
    # allow_anonymous is on: without a user name one may still read.
    nobody = guarded.mqtt(None).read_room()
    alice.send({"message": "hello"})
    nobody.expect_message("hello", A)


def test_reload_with_a_password_file(guarded):
    guarded.start()
    alice = guarded.mqtt(A, password="rabbit").read_room().read_notices()
    for _ in range(3):
        guarded.hup()
        time.sleep(0.15)
        alice.alive()
    alice.send({"message": "hi", "ref": "1"})
    alice.expect_all({"message": "hi"}, {"type": "ack"})
    # The operator takes a password away: the reload closes that client, as it does without the plugin.
    open(guarded.folder + "/passwords", "w").close()
    guarded.allow("protocol error", "Error: Unable")
    guarded.hup()
    wait_for(lambda: not alice.ping(), "alice closed by the reload")
    assert guarded.mqtt_refused(A, password="rabbit") in (0x86, 0x87)


# reserved names

@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("user, client_id", [
    (A, "ws-1"), (A, "ws-"), (None, "ws-abc"), ("x", "ws-abc"), (A, "chat-bridge-0"), (None, "chat-bridge-x"),
    ("$chat-bridge", "mine"), ("$chat-bridge", "chat-bridge-0"), ("$chat-bridge", "ws-x"),
])
def test_reserved_names_are_refused(broker, version, user, client_id):
    for password in (None, "", "0" * 64, "guess"):
        code = broker.mqtt_refused(user, version, client_id=client_id, password=password if user else None)
        assert code == (0x87 if version == 5 else 5)
    broker.wait_log("chat: (?=.*refused).*%s" % re.escape(client_id))
    # Names that only look like it are free.
    for name in ("WS-1", "xws-1", "ws", "chat-bridge", "Chat-Bridge-0"):
        broker.mqtt(A, version, client_id=name).alive()


def test_the_internal_listener_lets_nobody_in_without_mqtt(brokers):
    broker = brokers(bridge=False, options={"mqtt": "off"})
    for user, client_id in ((A, "mine"), (None, "mine"), (A, "ws-1"), ("$chat-bridge", "chat-bridge-0")):
        for password in (None, "", "0" * 64, "f" * 63, "f" * 65):
            if user is None and password is not None:
                continue
            code = broker.mqtt_refused(user, client_id=client_id, password=password, unix=broker.socket_path)
            assert code == 0x87
    broker.wait_log("refused client .*: this listener is for the chat's own bridges")


def test_reserved_names_are_refused_on_the_internal_listener_too(broker):
    """With mqtt on (the default) it takes ordinary clients, as they come out of a tunnel."""
    for user, client_id in ((A, "ws-1"), (None, "ws-1"), ("$chat-bridge", "chat-bridge-0"), (A, "chat-bridge-0"),
                            ("$chat-bridge", "mine")):
        for password in (None, "", "0" * 64, "f" * 63, "f" * 65):
            if user is None and password is not None:
                continue
            code = broker.mqtt_refused(user, client_id=client_id, password=password, unix=broker.socket_path)
            assert code == 0x87
    broker.wait_log("chat: (?=.*refused).*ws-1")
    broker.mqtt(A, client_id="mine", password="0" * 64, unix=broker.socket_path).alive()
    assert "0000000000" not in broker.log()


def test_assigned_client_ids_work(broker):
    alice = broker.mqtt(A, client_id="")
    assert alice.client_id
    alice.read_notices()
    alice.send({"message": "hi", "ref": "1"})
    alice.expect_ack("1")


def test_persistent_subscriptions_are_checked_again(brokers):
    """What a session may read is decided at each delivery, also for what was queued while it was away."""
    broker = brokers(bridge=False)
    keeper = broker.mqtt(B, client_id="keeper", clean=False, session_expiry=600)
    keeper.subscribe("chat/users/bob@example.com/inbox")
    keeper.disconnect()
    broker.mqtt(A).send({"message": "for bob"}, to=B)
    # The same client id as somebody else: mosquitto keeps the session, the queue is not for eve.
    eve = broker.mqtt("eve@example.com", client_id="keeper", clean=False, session_expiry=600)
    eve.expect_nothing()
