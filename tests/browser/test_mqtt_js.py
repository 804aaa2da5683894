"""MQTT.js in a page, through /mqtt on the chat's port: an ordinary MQTT client of the broker."""

import hashlib
import json
import os
import signal

import pytest

from harness.dialogue import wait_for
from harness.history import with_history
from site_server import NODE_MODULES

A, B = "alice@example.com", "bob@example.com"

if not os.path.exists(os.path.join(NODE_MODULES, "mqtt", "dist", "mqtt.min.js")):
    pytest.skip("CHAT_NODE_MODULES has no mqtt (scripts/test browser brings it)", allow_module_level=True)


@pytest.fixture
def page(browser, site):
    browser.open(site.url + "mqtt.html")
    browser.wait("return window.loaded")
    yield browser
    browser.js("for (const name in mqtts) mqtts[name].end(true)")
    browser.open("about:blank")


@pytest.fixture
def chat(brokers):
    return with_history(brokers, lines=["max_packet_size 524288"])


def dial(page, name, chat, **options):
    url = "ws://127.0.0.1:%d/mqtt" % chat.ws_port
    return page.run("return dial(arguments[0], arguments[1], arguments[2])", name, url, options)


def subscribe(page, name, topic, qos):
    assert page.run("return subscribe(arguments[0], arguments[1], arguments[2])", name, topic, qos) == [qos]


def publish(page, name, topic, payload, **options):
    page.run("await publish(arguments[0], arguments[1], arguments[2], arguments[3])", name, topic, payload, options)


def got(page, name, count):
    return page.wait("return got[arguments[0]].length >= arguments[1] && got[arguments[0]]", name, count,
                     what="%d messages for %s" % (count, name))


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_publish_and_subscribe(page, chat, version, qos):
    assert dial(page, "one", chat, protocolVersion=version) == [False, 0]
    dial(page, "two", chat, protocolVersion=version)
    subscribe(page, "two", "somewhere/#", qos)
    for n in range(50):
        publish(page, "one", "somewhere/%d" % n, "text %d" % n, qos=qos)
    assert got(page, "two", 50) == [["somewhere/%d" % n, "text %d" % n, qos, False] for n in range(50)]
    page.run("await hangUp('one')")
    assert page.js("return went.one.filter((e) => e.startsWith('error'))") == []


def test_retained(page, chat):
    dial(page, "one", chat)
    publish(page, "one", "lamp", "on", qos=1, retain=True)
    dial(page, "two", chat)
    subscribe(page, "two", "lamp", 1)
    assert got(page, "two", 1) == [["lamp", "on", 1, True]]


def test_the_will_of_a_page_that_is_closed(page, chat):
    reader = chat.mqtt(B)
    assert reader.subscribe("wills") == 1
    will = {"topic": "wills", "payload": "gone", "qos": 1}
    dial(page, "one", chat, will=will)
    page.run("await hangUp('one')")
    reader.expect_nothing()  # it said goodbye
    dial(page, "two", chat, will=will)
    page.open("about:blank")
    assert reader.next().raw == b"gone"
    page.js("window.mqtts = {}")


def test_large_packets(page, chat):
    """300 KB both ways, every byte."""
    size = 300_000
    dial(page, "one", chat)
    reader = chat.mqtt(B)
    assert reader.subscribe("large/up") == 1
    page.run("""
        const bytes = new Uint8Array(arguments[0]);
        let x = 1;
        for (let n = 0; n < bytes.length; n++) bytes[n] = (x = (x * 75 + 74) % 65537) & 255;
        window.bytes = bytes;
        await publish("one", "large/up", mqtt.Buffer ? mqtt.Buffer.from(bytes) : bytes, { qos: 1 });
    """, size)
    raw, x = bytearray(), 1
    for _ in range(size):
        x = (x * 75 + 74) % 65537
        raw.append(x & 255)
    assert hashlib.sha256(reader.next().raw).digest() == hashlib.sha256(bytes(raw)).digest()
    subscribe(page, "one", "large/down", 1)
    page.js("""
        window.same = undefined;
        mqtts.one.on("message", (topic, payload) => { same = payload.length === bytes.length && payload.every((b, n) => b === bytes[n]); });
    """)
    assert reader.publish("large/down", bytes(raw)) == 0
    page.wait("return same !== undefined")
    assert page.js("return same") is True


def test_reconnect(page, chat):
    """The bridge is killed: a persistent session comes back by itself and misses nothing of QoS 1."""
    dial(page, "one", chat, clean=False, properties={"sessionExpiryInterval": 300})
    subscribe(page, "one", "news", 1)
    writer = chat.mqtt(B)
    assert writer.publish("news", b"before") == 0
    got(page, "one", 1)
    chat.allow("is killed", "next start in")
    pids = chat.bridge_pids()
    os.kill(pids[0], signal.SIGKILL)
    page.wait("return went.one.includes('close')")
    assert writer.publish("news", b"meanwhile") == 0
    chat.wait_bridges(but=pids)
    page.wait("return went.one.filter((e) => e === 'connect').length === 2")
    assert writer.publish("news", b"after") == 0
    assert [m[1] for m in got(page, "one", 3)] == ["before", "meanwhile", "after"]


def test_chat_both_ways(page, chat):
    """A page that speaks MQTT and a session of /ws are in one room; who writes is the user name."""
    alice = chat.ws(A)
    dial(page, "bob", chat, username=B)
    subscribe(page, "bob", "chat/rooms/general", 1)
    subscribe(page, "bob", "chat/users/bob@example.com/inbox", 1)
    publish(page, "bob", "chat/rooms/general/send", '{"message":"from MQTT.js"}', qos=1)
    frame = alice.expect_message("from MQTT.js", B, room="general")
    alice.send({"message": "welcome"})
    alice.send({"message": "psst", "to": B})
    frames = got(page, "bob", 3)
    assert frames[0][:2] == ["chat/rooms/general", frame.raw.decode()]
    assert {json.loads(text)["message"] for _, text, _, _ in frames[1:]} == {"welcome", "psst"}
    wait_for(lambda: B in chat.http("GET", "/users").body.decode(), "bob is here")
    page.run("await hangUp('bob')")
    wait_for(lambda: B not in chat.http("GET", "/users").body.decode(), "bob is away")


def test_what_is_refused_says_so(page, chat):
    """A bad message is refused with MQTT 5's reason code, and the client stays."""
    dial(page, "bob", chat, username=B)
    error = page.run("return publish('bob', 'chat/rooms/general/send', 'nonsense', { qos: 1 }).then(() => '', (e) => String(e.code ?? e))")
    assert error in ("135", "Error: Publish error: Not authorized")
    assert page.js("return mqtts.bob.connected") is True
