"""Others on the same broker: links to other brokers, the operator's own plugins and listeners."""

import json
import os
import socket
import subprocess
import time

import pytest

from harness.broker import PLUGIN, free_port, mosquitto_version
from harness.dialogue import FACTOR, wait_for
from harness.paho import paho_client

A, B = "alice@example.com", "bob@example.com"
GENUINE = ('{"id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","sender":"eve@example.com","room":"general","message":"forged",'
           '"timestamp":"2026-11-22T14:07:31.482Z"}').encode()
DYNSEC = next((path for path in ("/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so",
                                 "/usr/lib/aarch64-linux-gnu/mosquitto_dynamic_security.so",
                                 "/usr/lib/mosquitto_dynamic_security.so") if os.path.exists(path)), None)


def plain_broker(brokers, lines=()):
    """A mosquitto without the plugin."""
    other = brokers(start=False, bridge=False, lines=lines)
    other.config = lambda make=other.config: "\n".join(
        line for line in make().splitlines() if not line.startswith("plugin")) + "\n"
    other.start()
    return other


@pytest.mark.parametrize("protocol", ["mqttv311", "mqttv50"])
def test_another_brokers_link_is_a_publisher_like_any(brokers, protocol):
    """The other side opens the link: to us it is a client with a user name, and its messages are checked."""
    hub = brokers(bridge=False)
    hub.allow("protocol error")
    spoke = plain_broker(brokers, [
        "connection hub", "address 127.0.0.1:%d" % hub.mqtt_port, "bridge_protocol_version " + protocol,
        "remote_username alice@example.com", "remote_clientid spoke", "notifications false", "try_private true",
        "topic chat/rooms/+/send out 1", "topic chat/rooms/general both 1", "topic chat/users/# both 1",
        "restart_timeout 1",
    ])
    reader = hub.mqtt(B).read_room().read_inbox()
    writer = spoke.mqtt("whoever@example.com")
    hub.wait_log(r"as spoke")
    hub.wait_log("Sending SUBACK to spoke")
    writer.send({"message": "over the link"})
    reader.expect_message("over the link", A, room="general")
    writer.send({"message": "spoofed", "from": B})
    writer.publish("chat/rooms/general", GENUINE)
    writer.publish("chat/users/bob@example.com/inbox", GENUINE)
    writer.publish("chat/users/bob@example.com/send", {"message": "direct over the link"})
    reader.expect_message("direct over the link", A, to=B)
    reader.expect_nothing()
    # What is said here arrives there, once and canonical.
    listener = spoke.mqtt(None)
    listener.subscribe("chat/rooms/general")
    reader.send({"message": "to the spoke"})
    reader.expect_message("to the spoke", B)
    assert listener.next()["message"] == "to the spoke"
    listener.expect_nothing()
    reader.expect_nothing()


@pytest.mark.parametrize("protocol", ["mqttv311", "mqttv50"])
@pytest.mark.parametrize("name, speaks", [(None, False), ("alice@example.com", True), ("node-2", False)])
def test_our_own_link_brings_no_forgeries(brokers, protocol, name, speaks):
    """We open the link: mosquitto asks no access rules for it, so the message event has to."""
    spoke = plain_broker(brokers)
    lines = ["connection spoke", "address 127.0.0.1:%d" % spoke.mqtt_port, "bridge_protocol_version " + protocol,
             "notifications false", "topic # in 1", "restart_timeout 1", "local_clientid link"]
    if name:
        lines.append("local_username " + name)
    hub = brokers(start=False, bridge=False)
    # A link belongs below the listeners or above, but not between a plugin and its options.
    hub.plugin_lines = lines
    hub.start()
    reader = hub.mqtt(B).read_room().read_inbox()
    reader.subscribe("chat/#")
    reader.subscribe("other/#")
    spoke.wait_log(r"Received SUBSCRIBE")
    spoke.wait_log(r"Sending SUBACK")
    writer = spoke.mqtt("whoever")
    for retain in (False, True):
        for topic in ("chat/rooms/general", "chat/users/bob@example.com/inbox", "chat/users/bob@example.com/presence",
                      "chat/rooms/general/typing", "chat/x"):
            writer.publish(topic, GENUINE, retain=retain)
        writer.publish("chat/rooms/general/send", b"nonsense", retain=retain)
        writer.publish("chat/rooms/general/send", {"message": "who am I?"}, retain=retain)
        writer.publish("other/topic", b"passes", retain=False)
        frames = []
        while not any(f.topic == "other/topic" for f in frames):
            frames.append(reader.next())
        said = [f for f in frames if f.topic != "other/topic"]
        if speaks:
            assert {f["message"] for f in said} == {"who am I?"} and {f["sender"] for f in said} == {A}
        else:
            assert not said
        assert not any(f.retain for f in frames)
    late = hub.mqtt("late@example.com")
    late.subscribe("chat/#")
    late.expect_nothing()


def dynsec(broker):
    path = os.path.join(broker.folder, "dynsec.json")
    subprocess.run(["mosquitto_ctrl", "dynsec", "init", path, "admin", "secret"], check=True, stdout=subprocess.DEVNULL)
    return ["plugin " + DYNSEC, "plugin_opt_config_file " + path]


@pytest.mark.skipif(DYNSEC is None, reason="no dynamic security plugin here")
@pytest.mark.parametrize("order", ["chat first", "dynsec first"])
def test_with_dynamic_security(brokers, order):
    """The operator's accounts and topics stay the operator's; the chat's topics are the chat's."""
    broker = brokers(start=False, bridge=False)
    try:
        lines = dynsec(broker)
    except FileNotFoundError:
        pytest.skip("mosquitto_ctrl is not installed")
    if order == "chat first":
        broker.plugin_lines += lines
    else:
        broker.lines += lines
    broker.start()
    assert broker.mqtt_refused(A, password="wrong") in (0x86, 0x87)
    assert broker.mqtt_refused(A) in (0x86, 0x87)
    admin = broker.mqtt("admin", password="secret")
    assert admin.subscribe("$CONTROL/dynamic-security/v1/response") == 1
    commands = [{"command": "createClient", "username": A, "password": "rabbit"},
                {"command": "createClient", "username": B, "password": "builder"},
                {"command": "createRole", "rolename": "reader",
                 "acls": [{"acltype": kind, "topic": "hers/#", "allow": True}
                          for kind in ("publishClientSend", "publishClientReceive", "subscribePattern")]},
                {"command": "addClientRole", "username": A, "rolename": "reader"}]
    assert admin.publish("$CONTROL/dynamic-security/v1", json.dumps({"commands": commands}).encode()) == 0
    answer = json.loads(admin.next().raw)
    assert not any("error" in one for one in answer["responses"]), answer
    alice, bob = broker.mqtt(A, password="rabbit"), broker.mqtt(B, password="builder")
    assert alice.publish("$CONTROL/dynamic-security/v1", b"{}") == 0x87
    assert alice.subscribe("hers/x") == 1
    assert alice.publish("hers/x", b"1") == 0
    assert alice.next().raw == b"1"
    assert bob.publish("hers/x", b"2") == 0x87
    alice.expect_nothing()
    if order == "chat first":
        alice.read_room()
        assert bob.send({"message": "hi"}) == 0
        alice.expect_message("hi", B)
    assert alice.publish("chat/rooms/general", GENUINE) == 0x87
    assert alice.subscribe("chat/users/bob@example.com/inbox") in (0x87, 0x80)
    broker.hup()
    time.sleep(0.2)
    alice.alive() and bob.alive()


def test_anonymous_clients_stay_out_where_the_operator_says_so(brokers):
    broker = brokers(start=False, bridge=False)
    path = broker.file("passwords", "", 0o600)
    subprocess.run(["mosquitto_passwd", "-b", path, A, "rabbit"], check=True)
    broker.lines.append("password_file " + path)
    broker.config = lambda make=broker.config: make().replace("allow_anonymous true", "allow_anonymous false")
    broker.start()
    assert broker.mqtt_refused(None) in (0x86, 0x87)
    assert broker.mqtt_refused(B) in (0x86, 0x87)
    broker.mqtt(A, password="rabbit").alive()


def test_no_accounts_and_no_anonymous_clients(brokers):
    """allow_anonymous false alone: whoever names nobody stays out."""
    broker = brokers(start=False, bridge=False)
    broker.config = lambda make=broker.config: make().replace("allow_anonymous true", "allow_anonymous false")
    broker.start()
    assert broker.mqtt_refused(None) in (0x86, 0x87)


def test_a_websocket_listener_of_mosquitto_itself(brokers):
    """Debian's mosquitto has one of its own, with its own copy of the library: both work side by side."""
    chat = brokers(start=False)
    port = free_port()
    chat.config = lambda make=chat.config: make().replace(
        "listener 0 ", "listener %d 127.0.0.1\nprotocol websockets\nlistener 0 " % port)
    try:
        chat.start()
    except AssertionError:
        pytest.skip("this mosquitto has no websockets")
    def listening():
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        except OSError:
            return False
    wait_for(listening, "mosquitto's own websockets")
    done = []
    client = paho_client("over-ws", 4, transport="websockets")
    client.username_pw_set(B)
    client.on_connect = lambda c, *_: c.subscribe("chat/rooms/general")
    client.on_subscribe = lambda *_: done.append("subscribed")
    client.on_message = lambda c, u, m: done.append(json.loads(m.payload)["message"])
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        wait_for(lambda: "subscribed" in done, "the subscription over mosquitto's own websockets")
        alice = chat.ws(A)
        alice.send({"message": "hi"})
        wait_for(lambda: "hi" in done, "the message over mosquitto's own websockets")
        client.publish("chat/rooms/general/send", '{"message":"ho"}', 1)
        alice.expect_message("ho", B)
    finally:
        client.disconnect()
        client.loop_stop()


def test_loaded_twice(brokers):
    """Two plugin lines for the same file: refused, or one of them does nothing; never two chats in one broker."""
    broker = brokers(start=False, bridge=False, plugin_lines=["plugin " + PLUGIN])
    broker.plugin_lines += ["plugin_opt_bridge_program off", "plugin_opt_port %d" % free_port(), "plugin_opt_topic_root two"]
    broker.spawn()
    broker.allow(".*")
    try:
        assert broker.process.wait(3 * FACTOR) != 0
        broker.ended = broker.gives_up = True
    except subprocess.TimeoutExpired:
        alice, bob = broker.mqtt(A), broker.mqtt(B).read_room()
        alice.send({"message": "hi"})
        bob.expect_message("hi", A)
        bob.expect_nothing()


def test_the_version_in_the_log(broker):
    broker.wait_log(r"chat: .*mosquitto %d\.%d\.%d\b" % mosquitto_version())
