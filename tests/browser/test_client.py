"""web/chat-client.js in Chromium against the real server: what a page reads and sends when the way between breaks."""

import json
import os
import random
import signal
import threading
import time

import pytest

from harness.dialogue import wait_for
from harness.history import rows, with_history
from harness.moderation import Moderator, with_passwords
from harness.wire import Mqtt

A, B, C = "alice@example.com", "bob@example.com", "carol@example.com"


@pytest.fixture
def chat(brokers):
    return with_history(brokers)


def url(chat):
    return "ws://127.0.0.1:%d" % chat.ws_port


def make(page, name, chat, user=None, at=None, **options):
    """A client in the page, once it is open."""
    page.run("make(arguments[0], arguments[1]); await opened(arguments[0])", name,
             {"user": user or "%s@example.com" % name, "url": at or url(chat), **options})


def texts(page, name, place=None):
    return page.js("return texts(arguments[0], arguments[1] || undefined)", name, place)


def expect(page, name, wanted, place=None, timeout=30):
    """These texts, no other, in this order."""
    __tracebackhide__ = True
    page.wait("return texts(arguments[0], arguments[1] || undefined).length >= arguments[2]", name, place, len(wanted), timeout=timeout,
              what="%s has %r of %r" % (name, texts(page, name, place)[-5:], wanted[-5:]))
    assert texts(page, name, place) == wanted


def kill_bridge(chat):
    """As a crash; returns when another one runs."""
    chat.allow("is killed", "next start in")
    pids = chat.bridge_pids()
    os.kill(pids[0], signal.SIGKILL)
    chat.wait_bridges(but=pids)


def dial_now(page):
    """Tests need not wait for the back-off."""
    page.js("if (clients.alice.state === 'waiting') clients.alice.connect()")


class Author:
    """Says numbered messages over MQTT in several places, until it is stopped."""

    def __init__(self, chat, places, user=C, rate=40):
        self.places, self.rate = places, rate
        self.said = {room or "inbox": [] for room, _ in places}
        self.mqtt = Mqtt(chat, user)
        self.ended = threading.Event()
        self.error = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        n = 0
        try:
            while not self.ended.is_set():
                for room, to in self.places:
                    n += 1
                    text = "%s %d" % (room or "inbox", n)
                    code = self.mqtt.send({"message": text}, room=room, to=to)
                    assert code is not None and code < 0x80, code
                    self.said[room or "inbox"].append(text)
                self.ended.wait(1 / self.rate)
        except Exception as error:
            self.error = error

    def stop(self):
        self.ended.set()
        self.thread.join(20)
        assert self.error is None and not self.thread.is_alive(), self.error
        return self.said


# a conversation

def test_a_conversation(page, chat):
    make(page, "alice", chat)
    make(page, "bob", chat)
    terminal = chat.mqtt(C).read_room().read_inbox()
    ack = page.run("return clients.alice.send({ message: 'hello' })")
    frame = terminal.expect_message("hello", A)
    assert (frame["id"], frame["timestamp"]) == (ack["id"], ack["timestamp"])
    expect(page, "bob", ["hello"])
    terminal.send({"message": "from a terminal"})
    terminal.expect_message("from a terminal", C)
    terminal.send({"message": "psst"}, to=A)
    terminal.expect_message("psst", C)  # its own copy
    expect(page, "alice", ["from a terminal"], "general")
    expect(page, "alice", ["psst"], "inbox")
    page.run("await clients.alice.send({ message: 'for you', to: 'bob@example.com' })")
    expect(page, "bob", ["for you"], "inbox")
    assert page.js("return clients.alice.pending") == 0
    message = page.js("return heard('bob', 'message')[0]")
    assert message == {"event": "message", "id": ack["id"], "sender": A, "room": "general", "message": "hello",
                       "timestamp": ack["timestamp"], "own": False, "replayed": False}
    assert page.js("return heard('alice', 'sent').map((s) => [s.message, s.room ?? null, s.to ?? null])") == [
        ["hello", "general", None], ["for you", None, B]]
    assert page.js("return [clients.alice.state, clients.alice.user, clients.alice.rooms]") == ["open", A, ["general"]]


def test_what_is_written_at_once_comes_in_order(page, chat):
    reader = chat.mqtt(C).read_room()
    make(page, "alice", chat)
    wanted = ["m%d" % n for n in range(150)]
    ids = page.run("return (await Promise.all(arguments[0].map((message) => clients.alice.send({ message })))).map((a) => a.id)", wanted)
    assert [reader.expect(message=text)["id"] for text in wanted] == ids and ids == sorted(ids)


def test_errors_by_ref(page, chat):
    make(page, "alice", chat)
    say = "return settled(clients.alice.send(arguments[0]))"
    assert page.run(say, {"message": "   "}) == ["empty_message", "message"]
    assert page.run(say, {"message": "x" * 4001}) == ["too_long", "message"]
    assert page.run(say, {"message": "x", "to": "nobody"}) == ["invalid_email", "to"]
    assert page.run(say, {"message": "x", "room": "Not a room"}) == ["invalid_room", "room"]
    assert page.run(say, {"message": "x" * 4000})[0] == "ok"
    assert page.js("return heard('alice', 'error')") == []
    assert page.run("return settled(clients.alice.renew('token'))")[0] == "unavailable"
    assert page.js("return clients.alice.state") == "open"


def test_a_direct_message_to_nobody_there(page, chat):
    make(page, "alice", chat)
    page.run("await clients.alice.send({ message: 'psst', to: 'nobody@example.com' })")
    assert page.wait("return heard('alice', 'system')[0]")["code"] == "recipient_offline"


def test_pages_of_history(page, chat):
    make(page, "alice", chat)
    ids = page.run("const ids = []; for (let n = 0; n < 120; n++) ids.push((await clients.alice.send({ message: 'm' + n })).id); return ids")
    make(page, "bob", chat)
    got = page.run("""
        const pages = [];
        for (let before; ;) {
            const page = await clients.bob.history({ limit: 50, before });
            pages.unshift(page.messages.map((m) => m.id));
            if (page.complete) return pages;
            before = page.messages[0].id;
        }""")
    assert [len(p) for p in got] == [20, 50, 50] and sum(got, []) == ids
    after = page.run("return clients.bob.history({ after: arguments[0], limit: 3 })", ids[10])
    assert [m["id"] for m in after["messages"]] == ids[11:14] and not after["complete"]
    assert all(m["own"] is False for m in after["messages"])
    many = page.run("return (await Promise.all(Array.from({ length: 12 }, () => clients.bob.history({ limit: 1 })))).map((p) => p.messages[0].id)")
    assert many == [ids[-1]] * 12
    page.run("await clients.alice.send({ message: 'direct', to: 'bob@example.com' })")
    pair = page.run("return clients.alice.history({ with: 'bob@example.com' })")
    assert [(m["message"], m["own"]) for m in pair["messages"]] == [("direct", True)] and pair["complete"]


def test_history_where_there_is_none(page, brokers):
    chat = brokers()
    make(page, "alice", chat)
    assert page.run("return settled(clients.alice.history())") == ["unavailable", None]
    assert page.js("return heard('alice', 'error')") == []


def test_rooms(page, chat):
    make(page, "alice", chat)
    make(page, "bob", chat, rooms=["general", "garden"])
    terminal = chat.mqtt(C)
    page.run("await clients.alice.join('garden')")
    terminal.send({"message": "one"}, room="garden")
    expect(page, "alice", ["one"], "garden")
    page.run("await clients.alice.send({ message: 'two', room: 'garden' })")
    expect(page, "bob", ["one", "two"], "garden")
    kill_bridge(chat)
    page.wait("return heard('alice', 'ready').length === 2")
    assert page.js("return heard('alice', 'ready')[1].rooms.sort()") == ["garden", "general"]
    terminal.send({"message": "three"}, room="garden")
    expect(page, "alice", ["one", "three"], "garden")
    page.run("await clients.alice.leave('garden')")
    terminal.send({"message": "four"}, room="garden")
    terminal.send({"message": "the end"})
    expect(page, "alice", ["the end"], "general")
    assert texts(page, "alice", "garden") == ["one", "three"]
    assert page.js("return clients.alice.rooms") == ["general"]


def test_a_renamed_room(page, brokers):
    """The new name takes the old one's place, over reconnects, too."""
    chat = with_passwords(brokers)
    boss = Moderator(chat, client=chat.mqtt(A, password="secret"))
    make(page, "carol", chat)
    boss.ok("renameRoom", room="general", to="agora")
    page.wait("return clients.carol.rooms.join() === 'agora'")
    assert page.js("return heard('carol', 'system').map(({ type, to }) => type + to)") == ["renamedagora"]
    page.run("await clients.carol.send({ message: 'one' })")
    kill_bridge(chat)
    page.wait("return heard('carol', 'ready').length === 2")
    chat.mqtt(B, password="secret").send({"message": "two"}, room="agora")
    expect(page, "carol", ["two"], "agora")
    # who still has the old name in mind
    make(page, "dora", chat, rooms=["general"])
    assert page.js("return clients.dora.rooms") == ["agora"]
    page.run("await clients.dora.send({ message: 'three' })")
    expect(page, "carol", ["two", "three"], "agora")


def test_typing_and_presence(page, chat):
    make(page, "alice", chat)
    make(page, "bob", chat)
    page.wait("return heard('alice', 'presence').some((p) => p.user === 'bob@example.com' && p.status === 'online')")
    page.js("clients.bob.typing(); clients.bob.typing(); clients.bob.typing({ to: 'alice@example.com' })")
    page.wait("return heard('alice', 'typing').length === 2")
    assert sorted(page.js("return heard('alice', 'typing').map((t) => [t.sender, t.room ?? ''])")) == [[B, ""], [B, "general"]]
    assert sorted(page.js("return [...clients.alice.online.keys()]")) == [A, B]
    page.js("clients.bob.close()")
    page.wait("return !clients.alice.online.has('bob@example.com')")
    page.run("make('quiet', { user: 'dave@example.com', url: arguments[0], events: [] }); await opened('quiet')", url(chat))
    page.js("clients.alice.typing()")
    page.run("await clients.alice.send({ message: 'x' })")
    expect(page, "quiet", ["x"])
    assert page.js("return [heard('quiet', 'typing').length, heard('quiet', 'presence').length]") == [0, 0]


def test_who_left_during_a_cut_is_not_shown(page, chat, proxies):
    proxy = proxies(chat.ws_port)
    make(page, "alice", chat, at=proxy.url)
    bob = chat.mqtt(B)
    page.wait("return clients.alice.online.has('bob@example.com')")
    proxy.cut()
    bob.disconnect()
    wait_for(lambda: B not in chat.http("GET", "/users").body.decode(), "bob is away")
    page.wait("return clients.alice.state === 'open' && clients.alice.online.has('alice@example.com')")
    assert not page.js("return clients.alice.online.has('bob@example.com')")


def test_several_in_one_page_and_a_worker(page, chat):
    for name in ("one", "two", "three"):
        make(page, name, chat, user=A)
    page.run("""
        const worker = new Worker("/worker.js", { type: "module" });
        const ready = new Promise((resolve) => { worker.onmessage = resolve; });
        worker.postMessage(arguments[0]);
        window.worker = worker;
        await ready;
    """, {"user": B, "url": url(chat)})
    page.run("await clients.one.send({ message: 'ping' })")
    for name in ("two", "three"):
        expect(page, name, ["ping", "pong"])
        assert page.js("return heard(arguments[0], 'message').map((m) => m.own)", name) == [True, False]
    expect(page, "one", ["pong"])
    page.js("worker.terminate()")


# the way between breaks

PLACES = [("general", None), ("garden", None), (None, A)]


def break_under_load(page, chat, breaks, at=None):
    """Alice reads three places and writes to two, while breaks() does its worst."""
    make(page, "alice", chat, rooms=["general", "garden"], at=at)
    reader = chat.mqtt(B).read_room().read_room("garden")
    author = Author(chat, PLACES)
    page.js("""
        window.mine = []; window.answers = [];
        window.writing = setInterval(() => {
            if (clients.alice.pending > 100) return;
            const message = "mine " + mine.length, room = mine.length % 2 ? "general" : "garden";
            mine.push(message);
            clients.alice.send({ message, room }).then((a) => answers.push(["ok", message, a.id]), (e) => answers.push([e.code, message]));
        }, 50)""")
    try:
        breaks()
    finally:
        page.js("clearInterval(writing)")
        said = author.stop()
    mine = page.js("return mine")
    page.wait("return clients.alice.pending === 0 && clients.alice.state === 'open'", timeout=60)
    assert sorted(page.js("return answers.map((a) => [a[0], a[1]])")) == sorted(["ok", m] for m in mine)
    for place, wanted in said.items():
        page.wait("return texts('alice', arguments[0]).filter((t) => !t.startsWith('mine')).length >= arguments[1]",
                  place, len(wanted), timeout=60, what="all of %s" % place)
        assert [t for t in texts(page, "alice", place) if not t.startswith("mine")] == wanted, place
    # once, in the order written, for everybody
    got = [json.loads(body) for _, _, body in rows(chat)]
    for room, odd in (("garden", 0), ("general", 1)):
        assert [m["message"] for m in got if m.get("room") == room and m["sender"] == A] == mine[odd::2]
    ids = page.js("return heard('alice', 'message').map((m) => m.id)")
    assert len(ids) == len(set(ids))
    assert reader.alive()
    assert page.js("return heard('alice', 'recovered').every((r) => r.complete)")
    return said


def test_bridge_killed_again_and_again(page, chat):
    def breaks():
        for n in range(6):
            kill_bridge(chat)
            page.wait("return heard('alice', 'ready').length >= arguments[0]", n + 2)
            time.sleep(random.uniform(0, 0.4))  # somewhere in the replay, or behind it
    said = break_under_load(page, chat, breaks)
    assert len(said["general"]) > 50
    assert {s["code"] for s in page.js("return heard('alice', 'state').filter((s) => s.state === 'waiting')")} == {1006}


def test_cut_again_and_again(page, chat, proxies):
    proxy = proxies(chat.ws_port)

    def breaks():
        while proxy.cuts < 40:
            proxy.cut_after = random.choice([None, 300, 600, 2000, 8000, 20000])
            proxy.cut()
            time.sleep(random.uniform(0.02, 0.2))
            dial_now(page)
            time.sleep(random.uniform(0.02, 0.2))
        proxy.cut_after = None
        proxy.cut()
    break_under_load(page, chat, breaks, at=proxy.url)
    assert len(page.js("return heard('alice', 'ready')")) > 10


def test_offline_and_back(page, chat, proxies):
    proxy = proxies(chat.ws_port)

    def breaks():
        for _ in range(3):
            page.offline(True)
            page.wait("return navigator.onLine === false")
            proxy.cut_after = 0
            proxy.cut()
            # until it has failed often enough to wait for long
            page.wait("return clients.alice.state === 'waiting' && heard('alice', 'state').at(-1).retryIn > 1500", timeout=60)
            proxy.cut_after = None
            page.offline(False)
            page.wait("return clients.alice.state === 'open'", timeout=1.4, what="back at once")
            time.sleep(0.5)
    break_under_load(page, chat, breaks, at=proxy.url)


def test_broker_restarted(page, brokers):
    chat = with_history(brokers)
    make(page, "alice", chat)
    author = chat.mqtt(C)
    for n in range(5):
        author.send({"message": "before %d" % n})
    expect(page, "alice", ["before %d" % n for n in range(5)])
    chat.allow("^.*Error: .*")
    assert chat.terminate() == 0
    page.wait("return clients.alice.state === 'waiting'")
    page.js("window.late = settled(clients.alice.send({ message: 'written while it was away' }))")
    chat.close_clients()
    chat.start()
    author = chat.mqtt(C)
    reader = chat.mqtt(B).read_room()
    author.send({"message": "after"})
    reader.expect_all({"message": "after"}, {"message": "written while it was away", "sender": A})
    assert page.run("return late")[0] == "ok"
    expect(page, "alice", ["before %d" % n for n in range(5)] + ["after"])
    assert page.js("return heard('alice', 'recovered').every((r) => r.complete)")


def test_cut_during_a_replay(page, chat, proxies):
    """Each connection is cut some way into its replay; what came already moves nothing."""
    proxy = proxies(chat.ws_port)
    make(page, "alice", chat, rooms=["general", "garden"], at=proxy.url)
    author = chat.mqtt(C)
    first = {}
    for room, to in PLACES:
        author.send({"message": "first %s" % room}, room=room, to=to)
        first[room or "inbox"] = ["first %s" % room]
    for place, wanted in first.items():
        expect(page, "alice", wanted, place)
    proxy.cut_after = 0
    proxy.cut()
    for n in range(300):
        for room, to in PLACES:
            author.send({"message": "%s %d" % (room, n)}, room=room, to=to)
            first[room or "inbox"].append("%s %d" % (room, n))
    for limit in (3_000, 20_000, 45_000, 70_000, 100_000):
        before = proxy.cuts
        proxy.cut_after = limit
        dial_now(page)
        wait_for(lambda: proxy.cuts > before, "a cut after %d bytes" % limit, 20)
    assert len(texts(page, "alice")) > 300
    proxy.cut_after = None
    for place, wanted in first.items():
        expect(page, "alice", wanted, place)
    page.wait("return heard('alice', 'recovered').filter((r) => r.inbox).length > 0")
    assert page.js("return heard('alice', 'recovered').every((r) => r.complete)")


def test_a_cut_before_the_first_message(page, chat, proxies):
    """Nothing had come, so there was no id to come back to but one from the history."""
    proxy = proxies(chat.ws_port)
    author = chat.mqtt(C)
    for empty in (True, False):
        name = "alice" if empty else "bob"
        make(page, name, chat, at=proxy.url)
        page.wait("return clients[arguments[0]].state === 'open'", name)
        page.run("await clients[arguments[0]].history()", name)  # so the client's own question is answered
        proxy.cut_after = 0
        proxy.cut()
        author.send({"message": "missed %d" % empty})
        author.send({"message": "direct %d" % empty}, to="%s@example.com" % name)
        proxy.cut_after = None
        expect(page, name, ["missed %d" % empty], "general")
        expect(page, name, ["direct %d" % empty], "inbox")
        page.js("clients[arguments[0]].close()", name)


@pytest.mark.parametrize("way", ["ack lost", "bridge killed"])
def test_sent_again_with_the_same_ref(page, chat, proxies, way):
    """What was accepted and not acknowledged, many times over: everybody gets it once."""
    reader = chat.mqtt(B).read_room()
    proxy = proxies(chat.ws_port)
    make(page, "alice", chat, at=proxy.url)
    wanted = []
    for n in range(12 if way == "ack lost" else 6):
        proxy.cut_at = b'"type":"ack"'
        cuts = proxy.cuts
        page.js("window.sent = settled(clients.alice.send({ message: arguments[0] }))", "m%d" % n)
        wanted.append("m%d" % n)
        frame = reader.expect_message("m%d" % n, A)
        wait_for(lambda: proxy.cuts > cuts, "the ack is lost")
        if way == "bridge killed":
            kill_bridge(chat)
        proxy.cut_at = None
        dial_now(page)
        outcome, answer = page.run("return sent")
        assert outcome == "ok" and answer["id"] == frame["id"]
    reader.expect_nothing()
    wait_for(lambda: len(rows(chat)) >= len(wanted), "the writer of the history is done")
    assert [json.loads(row[2])["message"] for row in rows(chat)] == wanted


def test_a_way_that_has_died_without_a_word(page, chat, proxies):
    proxy = proxies(chat.ws_port)
    make(page, "alice", chat, at=proxy.url)
    page.run("await clients.alice.history()")
    proxy.dead = True
    page.js("window.sent = settled(clients.alice.send({ message: 'anybody there?' }))")
    began = time.monotonic()
    page.wait("return clients.alice.state !== 'open'", timeout=20)
    assert 8 < time.monotonic() - began < 14
    proxy.cut()
    proxy.dead = False
    assert page.run("return sent")[0] == "ok"


# the server says no

def test_rate_limited_in_order(page, brokers):
    chat = with_history(brokers, rate_messages="20/s burst 5")
    reader = chat.mqtt(B).read_room()
    make(page, "alice", chat)
    wanted = ["m%d" % n for n in range(30)]
    page.run("await Promise.all(arguments[0].map((message) => clients.alice.send({ message })))", wanted)
    for text in wanted:
        reader.expect_message(text, A)
    reader.expect_nothing()


def test_replaced_by_the_same_device(page, chat):
    make(page, "one", chat, user=A, device="phone")
    make(page, "two", chat, user=A, device="phone")
    page.wait("return is('one', 'refused')")
    state = page.js("return heard('one', 'state').at(-1)")
    assert state["code"] == 4104 and state["reason"]
    page.run("await new Promise((resolve) => setTimeout(resolve, 1500))")
    assert page.js("return [clients.one.state, clients.two.state]") == ["refused", "open"]
    page.js("clients.one.connect()")  # on purpose
    page.wait("return is('one', 'open') && is('two', 'refused')")


def test_bad_address(page, chat):
    page.run("make('bad', { user: 'nonsense', url: arguments[0] })", url(chat))
    page.wait("return is('bad', 'refused')")
    state = page.js("return heard('bad', 'state').at(-1)")
    assert state["code"] == 4100 and "address" in state["reason"]
    page.run("make('since', { user: 'alice@example.com', since: 'x', url: arguments[0] })", url(chat))
    page.wait("return is('since', 'refused')")
    assert "since" in page.js("return heard('since', 'state').at(-1).reason")


def test_too_many_sessions(page, brokers):
    chat = with_history(brokers, max_sessions_per_user=1)
    make(page, "one", chat, user=A)
    page.run("make('two', { user: 'alice@example.com', url: arguments[0] })", url(chat))
    page.wait("return is('two', 'refused')")
    assert page.js("return heard('two', 'state').at(-1).code") == 4103
    assert page.js("return clients.one.state") == "open"


def test_too_large_a_frame(page, brokers):
    chat = with_history(brokers, max_frame_bytes="1k")
    make(page, "alice", chat)
    page.js("window.both = [settled(clients.alice.send({ message: 'x'.repeat(3000) })), settled(clients.alice.send({ message: 'small' }))]")
    assert page.run("return both[0]")[0] == "too_long"
    assert page.run("return both[1]")[0] == "ok"


def test_a_name_with_everything_in_it(page, chat):
    user = "o'x+y%/&?#={}@example.com"
    make(page, "odd", chat, user=user)
    assert page.js("return clients.odd.user") == user
    chat.mqtt(C).send({"message": "psst"}, to=user)
    expect(page, "odd", ["psst"], "inbox")


def test_close_leaves_nothing(page, chat):
    """No session at the server, no timer, nothing heard any more."""
    page.js("""
        window.timers = new Set();
        const [set, clear] = [window.setTimeout, window.clearTimeout];
        window.setTimeout = (fn, ms) => { const id = set(() => { timers.delete(id); fn(); }, ms); timers.add(id); return id; };
        window.clearTimeout = (id) => { timers.delete(id); clear(id); };
    """)
    make(page, "alice", chat)
    page.run("await clients.alice.send({ message: 'x' })")
    assert page.js("return timers.size") == 1
    page.js("clients.alice.close()")
    assert page.js("return [timers.size, clients.alice.state]") == [0, "closed"]
    wait_for(lambda: A not in chat.http("GET", "/users").body.decode(), "the session is over")
    before = page.js("return told.alice.length")
    chat.mqtt(C).send({"message": "y"})
    page.js("window.dispatchEvent(new Event('online'))")
    page.run("await new Promise((resolve) => setTimeout(resolve, 300))")
    assert page.js("return [told.alice.length, clients.alice.state]") == [before, "closed"]
