"""Moderators give rooms other names: who is there is moved, what was said stands there, and the old name says where."""

import os
import signal
import threading

import pytest

from harness.dialogue import ABSENT, ANY, FACTOR, wait_for
from harness.moderation import Moderator, SessionModerator, moderated
from harness.tokens import A, B, C, member, session
from test_exactly_once import publish, release

REFUSED = 0x87


@pytest.fixture
def chat(brokers):
    return moderated(brokers)


def expect_renamed(one, old, new, **more):
    frame = one.expect(type="renamed", room=old, to=new, sender="System", message="the room %s is called %s now" % (old, new), **more)
    assert list(frame) == ["type", "room", "to", "sender", "message"], frame
    if old in one.rooms:
        one.rooms = one.rooms - {old} | {new}
    return frame


def expect_refused(one, new, ref):
    frame = one.expect(type="error", code="room_renamed", to=new, ref=ref, sender="System", message="the room is called %s now" % new)
    assert list(frame) == ["type", "code", "message", "sender", "to", "ref"], frame


def page(one, room, **more):
    one.send(dict({"type": "history", "room": room, "ref": "h"}, **more))
    return one.expect(type="history", ref="h")


def texts(frame):
    return [(message["room"], message["message"]) for message in frame["messages"]]


# --- who is there ---

FANOUTS = pytest.mark.parametrize("options", [{"bridges": 2}, {"fanout": "session"}], ids=["shared", "session"])


@FANOUTS
def test_who_is_in_the_room_is_moved(brokers, options):
    chat = moderated(brokers, **options)
    boss = Moderator(chat)
    inside = [session(chat, C, rooms=["hall", "general"]) for _ in range(4)]
    elsewhere = session(chat, C, rooms=["general"])
    bob = session(chat, B, rooms=["hall"], echo="1")
    bob.send({"message": "before"})
    for one in inside + [bob]:
        one.expect_message("before", B, room="hall")
    assert boss.ok("renameRoom", room="hall", to="salon") == {}
    for one in inside + [bob]:
        expect_renamed(one, "hall", "salon")
    # a frame that names no room goes to the session's own, whatever it is called
    bob.send({"message": "mine"})
    for one in inside + [bob]:
        one.expect_message("mine", B, room="salon")
    bob.send({"message": "by name", "room": "salon"})
    for one in inside + [bob]:
        one.expect_message("by name", B, room="salon")
    bob.send({"message": "by the old name", "room": "hall", "ref": "1"})
    expect_refused(bob, "salon", "1")
    bob.send({"type": "typing", "room": "hall", "ref": "2"})
    expect_refused(bob, "salon", "2")
    for one in inside + [elsewhere]:
        one.expect_nothing()
    # and out again, by either name
    inside[0].leave("salon")
    inside[1].leave("hall")
    inside[1].rooms.discard("salon")
    bob.send({"message": "for two"})
    for one in inside[2:] + [bob]:
        one.expect_message("for two", B, room="salon")
    for one in inside[:2]:
        one.expect_nothing()


def test_who_comes_under_the_old_name(brokers):
    chat = moderated(brokers, bridges=2)
    Moderator(chat).ok("renameRoom", room="general", to="agora")
    for rooms, ready in ((None, ["agora"]), (["general"], ["agora"]), (["agora", "general"], ["agora"]), (["hall", "general"], ["hall", "agora"])):
        one = chat.raw_ws(C, token=chat.issuer.token(C), rooms=rooms, events="typing")
        expect_renamed(one, "general", "agora")
        assert one.expect(type="ready")["rooms"] == ready
        one.close()
    bob = session(chat, B, rooms=["hall"])
    bob.send({"type": "join", "room": "general", "ref": "j"})
    expect_renamed(bob, "general", "agora")
    bob.expect(type="ack", ref="j")
    reader = session(chat, C, rooms=["agora"])
    bob.send({"message": "here", "room": "agora"})
    reader.expect_message("here", B, room="agora")


@FANOUTS
def test_nothing_is_lost_while_it_is_renamed(brokers, options):
    """Messages pour into the room by all its names; whoever is there gets what was accepted, once and in order."""
    chat = moderated(brokers, **options)
    boss = Moderator(chat)
    readers = [session(chat, C, rooms=["a0"]) for _ in range(4)] + [session(chat, C, rooms=["a0"], device="d%d" % n) for n in range(2)]
    author = member(chat, B)
    stop, accepted = threading.Event(), []

    def pour():
        names, at, n = ["a%d" % n for n in range(6)], 0, 0
        while not stop.is_set() or at < 5:
            text = "m%d" % n
            # what the old name refuses is said under the next one, at once
            while author.send({"message": text}, room=names[at], qos=1) == REFUSED:
                at += 1
            accepted.append(text)
            n += 1
    thread = threading.Thread(target=pour)
    thread.start()
    for n in range(5):
        boss.ok("renameRoom", room="a%d" % n, to="a%d" % (n + 1))
    stop.set()
    thread.join()
    for one in readers:
        got, names = [], []
        while len(got) < len(accepted) or len(names) < 5:
            frame = one.next()
            if frame.get("type") == "renamed":
                names.append((frame["room"], frame["to"]))
            else:
                got.append(frame["message"])
        assert got == accepted, [pair for pair in zip(got, accepted) if pair[0] != pair[1]][:5]
        one.rooms = {"a5"}
        one.expect_nothing()
        assert names == [("a%d" % n, "a%d" % (n + 1)) for n in range(5)], names


def test_a_device_that_was_away(brokers):
    chat = moderated(brokers)
    boss = Moderator(chat)
    author = member(chat, B)
    phone = session(chat, C, rooms=["hall"], device="phone")
    author.send({"message": "there"}, room="hall")
    phone.expect_message("there", B)
    phone.expect_nothing()
    since = len(chat.log())
    phone.close()
    chat.wait_log(r"Client ws-\S+ (\[.*\] )?(disconnected|closed)", since=since)
    author.send({"message": "before"}, room="hall")
    boss.ok("renameRoom", room="hall", to="salon")
    for n in range(5):
        author.send({"message": "after %d" % n}, room="salon")
    phone = chat.raw_ws(C, token=chat.issuer.token(C), rooms=["hall"], device="phone", events="typing")
    expect_renamed(phone, "hall", "salon")
    assert phone.expect(type="ready")["rooms"] == ["salon"]
    got = [phone.next() for _ in range(6)]
    assert [(frame["room"], frame["message"]) for frame in got if "id" in frame] == \
        [("salon", "before")] + [("salon", "after %d" % n) for n in range(5)], got
    for n in range(3):
        author.send({"message": "live %d" % n}, room="salon")
        phone.expect_message("live %d" % n, B, room="salon")
    # by then it has let go of the old topic
    chat.wait_log(r"Received UNSUBSCRIBE from ws-\S+\n.*chat/rooms/hall")
    phone.rooms = {"salon"}
    phone.expect_nothing()
    since = len(chat.log())
    phone.close()
    chat.wait_log(r"Client ws-\S+ (\[.*\] )?(disconnected|closed)", since=since)
    author.send({"message": "again"}, room="salon")
    phone = chat.raw_ws(C, token=chat.issuer.token(C), rooms=["salon"], device="phone", events="typing")
    phone.expect(type="ready")
    phone.expect_message("again", B, room="salon")
    phone.rooms = {"salon"}
    phone.expect_nothing()


@FANOUTS
def test_what_is_released_after_it_was_renamed(brokers, options):
    """A message with QoS 2 that was accepted under the old name reaches who is there, and stands under the new one."""
    chat = moderated(brokers, history=True, **options)
    boss = Moderator(chat)
    reader = session(chat, C, rooms=["hall"])
    author = member(chat, B)
    assert publish(author, "chat/rooms/hall/send", b'{"message":"once"}') == 0
    boss.ok("renameRoom", room="hall", to="salon")
    expect_renamed(reader, "hall", "salon")
    author.send({"message": "meanwhile"}, room="salon")
    reader.expect_message("meanwhile", B, room="salon")
    release(author)
    reader.expect_message("once", B, room="salon")
    # and one under the new name
    assert publish(author, "chat/rooms/salon/send", b'{"message":"later"}') == 0
    reader.expect_nothing()
    release(author)
    reader.expect_message("later", B, room="salon")
    reader.expect_nothing()
    said = [text for _, text in texts(page(reader, "hall")) if not text.startswith("mark-")]
    assert said == ["meanwhile", "once", "later"], said


def test_readers_over_mqtt(chat):
    boss = Moderator(chat)
    reader, author = member(chat, C).read_notices(), member(chat, B).read_notices()
    wild = member(chat, C)
    for topic in ("chat/rooms/hall", "chat/rooms/hall/events"):
        assert reader.subscribe(topic) < 0x80
    assert wild.subscribe("chat/rooms/+") < 0x80
    author.send({"message": "one"}, room="hall")
    reader.expect_message("one", B)
    wild.expect_message("one", B)
    boss.ok("renameRoom", room="hall", to="salon")
    frame = reader.expect(type="renamed", room="hall", to="salon", sender="System", message=ANY)
    assert frame.topic == "chat/rooms/hall/events" and frame.properties["content-type"] == "application/json", frame
    assert author.send({"message": "two", "ref": "2"}, room="hall") == REFUSED
    expect_refused(author, "salon", "2")
    # who comes now is told; who is there stays, and reads nothing: also no copies, which are for sessions
    late = member(chat, B).read_notices()
    assert late.subscribe("chat/rooms/hall") == REFUSED
    late.expect(type="error", code="room_renamed", to="salon", ref=ABSENT)
    assert late.subscribe("chat/rooms/salon") < 0x80
    author.send({"message": "three"}, room="salon")
    for one in (late, wild):
        assert one.expect_message("three", B).topic == "chat/rooms/salon"
        one.expect_nothing()
    reader.expect_nothing()


# --- what was said ---

def test_history_stands_under_the_new_name(brokers):
    chat = moderated(brokers, history=True, bridges=2)
    boss = Moderator(chat)
    bob = session(chat, B, rooms=["hall"], echo="1")
    said = []
    for n in range(3):
        bob.send({"message": "old %d" % n})
        said.append(bob.expect_message("old %d" % n, B))
    boss.ok("renameRoom", room="hall", to="a-much-longer-name")
    expect_renamed(bob, "hall", "a-much-longer-name")
    wanted = [("a-much-longer-name", "old %d" % n) for n in range(3)]
    for room in ("hall", "a-much-longer-name"):
        frame = page(bob, room)
        assert frame["room"] == "a-much-longer-name" and texts(frame) == wanted, frame
    bob.send({"message": "new"})
    bob.expect_message("new", B, room="a-much-longer-name")
    wanted.append(("a-much-longer-name", "new"))
    for _ in range(2):
        for room in ("hall", "a-much-longer-name"):
            reader = session(chat, C)
            frame = page(reader, room)
            assert frame["room"] == "a-much-longer-name" and texts(frame) == wanted, frame
            answer = chat.http("GET", "/rooms/%s/messages" % room, headers=[("Authorization", "Bearer " + chat.issuer.token(C))])
            assert answer.status == 200 and texts(answer.json) == wanted, answer
            back = chat.raw_ws(C, token=chat.issuer.token(C), rooms=[room], since=said[0]["id"])
            if room == "hall":
                expect_renamed(back, "hall", "a-much-longer-name")
            for name, text in wanted[1:]:
                back.expect_message(text, B, room=name)
            back.expect(type="recovered", room="a-much-longer-name", complete=True, count=3)
        chat.restart()
    # the same bytes but for the name: what was said by id is the same message
    first = page(session(chat, C), "hall")["messages"][0]
    assert (first["id"], first["timestamp"]) == (said[0]["id"], said[0]["timestamp"]), first


def test_history_that_has_not_heard_of_a_name(brokers):
    """The broker ended before that was written: the next start sees to it."""
    chat = moderated(brokers, history=True)
    bob = session(chat, B, rooms=["hall"])
    for n in range(3):
        bob.send({"message": str(n), "ref": "r%d" % n})
        bob.expect_ack("r%d" % n)
    Moderator(chat).ok("mute", user=C, room="elsewhere")
    assert chat.terminate() == 0
    chat.close_clients()
    with open(os.path.join(chat.folder, "chat-moderation.jsonl"), "a") as f:
        f.write('{"kind":"rename","room":"hall","to":"salon","since":1,"until":0,"by":"%s"}\n' % A)
    chat.start()
    assert texts(page(session(chat, C), "salon")) == [("salon", str(n)) for n in range(3)]


def test_a_replay_that_is_under_way_is_begun_anew(brokers):
    chat = moderated(brokers, history=True)
    boss = Moderator(chat)
    bob = session(chat, B, rooms=["hall"], echo="1")
    bob.send({"message": "first"})
    first = bob.expect_message("first", B)
    for n in range(400):
        bob.send({"message": "%d %s" % (n, "x" * 3000)})
        bob.next()
    slow = chat.raw_ws(C, token=chat.issuer.token(C), rooms=["hall"], since=first["id"], receive_buffer=4096)
    slow.expect(message=ANY, id=ANY)
    boss.ok("renameRoom", room="hall", to="salon")
    _, end = slow.drain_until_close(1013)
    assert end.reason == "a room was renamed, resume with since", end


def test_a_deletion_and_what_is_imposed_go_along(brokers):
    chat = moderated(brokers, history=True)
    boss = Moderator(chat)
    bob = session(chat, B, rooms=["hall", "general"], echo="1")
    bob.send({"message": "oops", "room": "hall"})
    gone = bob.expect_message("oops", B)["id"]
    boss.ok("mute", user=B, room="hall", reason="loud")
    boss.ok("renameRoom", room="hall", to="salon")
    expect_renamed(bob, "hall", "salon")
    bob.send({"message": "x", "room": "salon", "ref": "1"})
    bob.expect_error("muted", ref="1")
    mute, = boss.ok("listMutes")["mutes"]
    assert (mute["room"], mute["reason"]) == ("salon", "loud"), mute
    boss.ok("unmute", user=B, room="salon")
    opted = session(chat, C, rooms=["salon"], events="deleted")
    boss.ok("deleteMessage", id=gone)
    opted.expect(type="deleted", id=gone, room="salon")
    assert page(bob, "hall")["messages"] == []
    # a closed room stays closed
    boss.ok("closeRoom", room="salon")
    boss.ok("renameRoom", room="salon", to="attic")
    expect_renamed(bob, "salon", "attic")
    bob.send({"message": "x", "room": "attic", "ref": "2"})
    bob.expect_error("room_closed", ref="2")
    late = session(chat, C)
    late.send({"type": "join", "room": "hall", "ref": "3"})
    late.expect_all({"type": "renamed", "room": "hall", "to": "attic"}, {"type": "error", "code": "room_closed", "ref": "3"})
    assert [entry["room"] for entry in boss.ok("listClosedRooms")["rooms"]] == ["attic"]
    boss.ok("openRoom", room="attic")


# --- commands ---

def test_what_is_refused(brokers):
    chat = moderated(brokers, history=True, bridges=2)
    boss = Moderator(chat)
    bob = session(chat, B, rooms=["hall", "used"])
    bob.send({"message": "x", "room": "used", "ref": "1"})
    bob.expect_ack("1")
    silent = session(chat, C, rooms=["silent"])
    for error, field, members in (
            ("missing_field", "room", {}), ("missing_field", "to", {"room": "hall"}), ("invalid_room", "to", {"room": "hall", "to": "No Room"}),
            ("wrong_type", "to", {"room": "hall", "to": 7}), ("unknown_field", "seconds", {"room": "hall", "to": "x", "seconds": 5}),
            ("same_name", "to", {"room": "hall", "to": "hall"}), ("room_in_use", "to", {"room": "hall", "to": "used"}),
            ("room_in_use", "to", {"room": "hall", "to": "silent"})):
        boss.refused("renameRoom", error, field=field, **members)
    boss.ok("closeRoom", room="shut")
    boss.refused("renameRoom", "room_closed", field="to", room="hall", to="shut")
    boss.ok("renameRoom", room="hall", to="salon")
    expect_renamed(bob, "hall", "salon")
    boss.refused("renameRoom", "room_renamed", field="room", room="hall", to="other")
    boss.refused("renameRoom", "room_renamed", field="to", room="used", to="hall")
    for command in ("closeRoom", "announce", "mute"):
        boss.refused(command, "room_renamed", field="room", room="hall", **{"announce": {"message": "x"}, "mute": {"user": B}}.get(command, {}))
    # what is only in history is in use, too
    chat.restart()
    boss = Moderator(chat)
    boss.refused("renameRoom", "room_in_use", field="to", room="salon", to="used")
    entry = boss.ok("getAudit", count=1)["entries"][0]
    assert (entry["command"], entry["room"], entry["to"], entry["result"]) == ("renameRoom", "salon", "used", "room_in_use"), entry
    chat.wait_log("moderation: %s: renameRoom room salon to used: room_in_use" % A)
    silent.close()
    member(chat, B).read_notices()
    SessionModerator(chat, A).ok("renameRoom", room="salon", to="lounge")


def test_it_is_taken_back_and_names_follow_names(brokers):
    chat = moderated(brokers, history=True)
    boss = Moderator(chat)
    bob = session(chat, B, rooms=["a"], echo="1")
    room = "a"

    def rename(to):
        nonlocal room
        boss.ok("renameRoom", room=room, to=to)
        expect_renamed(bob, room, to)
        room = to
        bob.send({"message": "in " + to})
        bob.expect_message("in " + to, B, room=to)

    def names():
        return {entry["room"]: entry["to"] for entry in boss.ok("listRenamedRooms")["rooms"]}
    for to in ("b", "a", "b", "c", "a", "d"):
        rename(to)
    assert names() == {"b": "c", "c": "a", "a": "d"}
    entry = boss.ok("listRenamedRooms", count=1)
    assert entry["totalCount"] == 3 and set(entry["rooms"][0]) == {"room", "to", "since", "by"}, entry
    chat.restart()
    boss, bob = Moderator(chat), session(chat, B, rooms=["d"], echo="1")
    for name in "abc":
        bob.send({"message": "x", "room": name, "ref": name})
        expect_refused(bob, "d", name)
        frame = page(bob, name)
        assert texts(frame) == [("d", "in " + to) for to in "babcad"], frame
    rename("b")
    assert names() == {"c": "a", "a": "d", "d": "b"}
    bob.send({"message": "x", "room": "c", "ref": "r"})
    expect_refused(bob, "b", "r")
    bob.expect_nothing()


def test_several_at_once_are_answered_one_after_the_other(chat):
    boss = Moderator(chat)
    assert boss.client.publish("$CONTROL/chat/v1", {"commands": [
        {"command": "renameRoom", "room": "a", "to": "b", "correlationData": "1"},
        {"command": "renameRoom", "room": "c", "to": "b", "correlationData": "2"},
        {"command": "renameRoom", "room": "b", "to": "d", "correlationData": "3"},
        {"command": "listBans"}]}) == 0
    answers = [boss.client.next(timeout=5 * FACTOR)["responses"] for _ in range(4)]
    assert answers[0][0]["command"] == "listBans", answers
    # nobody is in any of them: each is judged when its turn has come
    assert answers[1:] == [[{"command": "renameRoom", "correlationData": number}] for number in "123"], answers
    assert {entry["room"]: entry["to"] for entry in boss.ok("listRenamedRooms")["rooms"]} == {"a": "b", "c": "b", "b": "d"}


def test_without_bridges(brokers):
    chat = moderated(brokers, bridge=False)
    Moderator(chat).ok("renameRoom", room="hall", to="salon")
    author = member(chat, B).read_notices()
    assert author.send({"message": "x", "ref": "1"}, room="hall") == REFUSED
    expect_refused(author, "salon", "1")


def test_a_bridge_that_does_not_answer(brokers):
    chat = moderated(brokers)
    boss = Moderator(chat)
    pid = chat.wait_bridges(1)[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        boss.refused("renameRoom", "unavailable", room="hall", to="salon")
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for(lambda: boss.one("renameRoom", room="hall", to="salon") == {}, "it is renamed")
