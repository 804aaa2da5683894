"""Moderators and what is said: mutes, closed rooms, announcements, deleted messages."""

import os

import pytest

from harness.dialogue import ABSENT, wait_for
from harness.moderation import Moderator, moderated
from harness.tokens import A, B, C, member, session

REFUSED = 0x87


@pytest.fixture
def chat(brokers):
    return moderated(brokers)


# --- mutes ---

def test_a_muted_one_says_nothing_anywhere(chat):
    boss = Moderator(chat)
    reader, inbox = session(chat, C), member(chat, C).read_inbox()
    bob, mqtt = session(chat, B), member(chat, B).read_notices()
    bob.send({"message": "before", "ref": "0"})
    first = bob.expect_ack("0")
    reader.expect_message("before", B)
    boss.ok("mute", user=B, reason="loud")
    bob.send({"message": "to the room", "ref": "1"})
    bob.expect_error("muted", ref="1")
    bob.send({"message": "to carol", "to": C, "ref": "2"})
    bob.expect_error("muted", ref="2")
    bob.send({"type": "typing", "room": "general", "ref": "3"})
    bob.expect_error("muted", ref="3")
    assert mqtt.send({"message": "by mqtt"}) == REFUSED
    mqtt.expect_error("muted")
    # a mistake is still that, and what has been accepted was accepted
    bob.send({"message": "", "ref": "4"})
    bob.expect_error("empty_message", field="message", ref="4")
    bob.send({"message": "before", "ref": "0"})
    assert bob.expect_ack("0")["id"] == first["id"]
    reader.expect_nothing()
    inbox.expect_nothing()
    # hearing is not saying
    reader.send({"message": "poor bob"})
    bob.expect_message("poor bob", C)
    mute, = boss.ok("listMutes")["mutes"]
    assert (mute["user"], mute["by"], mute["reason"]) == (B, A, "loud") and "room" not in mute, mute
    boss.ok("unmute", user=B)
    bob.send({"message": "after"})
    reader.expect_message("after", B)
    boss.refused("unmute", "not_found", user=B)


def test_a_mute_in_one_room(chat):
    boss = Moderator(chat)
    reader = session(chat, C, rooms=["general", "other"])
    bob = session(chat, B, rooms=["general", "other"])
    boss.ok("mute", user=B, room="other", seconds=2)
    bob.send({"message": "x", "room": "other", "ref": "1"})
    bob.expect_error("muted", ref="1")
    bob.send({"message": "y", "room": "general"})
    reader.expect_message("y", B)
    bob.send({"message": "z", "to": C})
    reader.expect_message("z", B)
    boss.refused("unmute", "not_found", user=B)
    boss.refused("unmute", "invalid_room", field="room", user=B, room="No Room")
    assert boss.ok("listMutes", user=B, room="other")["mutes"][0]["room"] == "other"

    def heard():
        bob.send({"message": "again", "room": "other", "ref": "r"})
        return bob.next().get("type") == "ack"
    wait_for(heard, "the mute is over")
    reader.expect_message("again", B)


def test_mutes_and_closed_rooms_outlive_a_restart(brokers):
    chat = moderated(brokers, history=True)
    boss = Moderator(chat)
    boss.ok("mute", user=B)
    boss.ok("mute", user=C, room="other")
    boss.ok("closeRoom", room="attic", reason="dust")
    chat.restart()
    bob, carol = session(chat, B), session(chat, C, rooms=["other"])
    for one in (bob, carol):
        one.send({"message": "x", "ref": "1"})
        one.expect_error("muted", ref="1")
    bob.send({"type": "join", "room": "attic", "ref": "2"})
    bob.expect_error("room_closed", field="room", ref="2")
    assert Moderator(chat).ok("listClosedRooms")["rooms"][0]["reason"] == "dust"


def test_listed_moderators_are_nobodys_to_mute(brokers):
    chat = moderated(brokers, moderators=A + "," + B)
    boss = Moderator(chat)
    boss.refused("mute", "not_allowed", field="user", user=B)
    boss.ok("mute", user=A)
    boss.ok("unmute", user=A)


# --- rooms ---

def test_a_closed_room(brokers):
    chat = moderated(brokers, bridges=2)
    boss = Moderator(chat)
    inside = [session(chat, C, rooms=["hall", "general"]) for _ in range(4)]
    mqtt = member(chat, B).read_room("hall").read_notices()
    boss.ok("closeRoom", room="hall")
    for one in inside:
        one.send({"message": "x", "room": "hall", "ref": "1"})
        one.expect_error("room_closed", ref="1")
    assert mqtt.send({"message": "x"}, room="hall") == REFUSED
    mqtt.expect_error("room_closed")
    assert mqtt.subscribe("chat/rooms/hall") == REFUSED
    # nobody comes in, whichever bridge, whether somebody is there or not
    for _ in range(4):
        bob = session(chat, B)
        for n, room in enumerate(("hall", "hall")):
            bob.send({"type": "join", "room": room, "ref": "j%d" % n})
            bob.expect_error("room_closed", field="room", ref="j%d" % n)
        end = chat.raw_ws(B, token=chat.issuer.token(B), rooms=["general", "hall"]).expect_close(4102)
        assert end.reason == "the room is closed", end
        end = chat.raw_ws(B, token=chat.issuer.token(B), rooms=["hall"], device="d").expect_close(4102)
        assert end.reason == "the room is closed", end
        bob.close()
    # elsewhere life goes on, for those inside, too
    inside[0].send({"message": "y", "room": "general"})
    inside[1].expect_message("y", C)
    boss.ok("openRoom", room="hall")
    boss.refused("openRoom", "not_found", room="hall")
    bob = session(chat, B)
    bob.join("hall")
    bob.send({"message": "z", "room": "hall"})
    inside[0].expect_message("z", B)
    mqtt.expect_message("z", B)


def test_a_room_is_open_again_after_its_time(chat):
    boss = Moderator(chat)
    boss.ok("closeRoom", room="hall", seconds=1)
    bob = session(chat, B)

    def joined():
        bob.send({"type": "join", "room": "hall", "ref": "j"})
        return bob.next().get("type") == "ack"
    wait_for(joined, "the room is open again")


def test_a_bridge_that_is_started_again_knows_closed_rooms(chat):
    chat.allow("next start in", "is killed")
    boss = Moderator(chat)
    session(chat, B, rooms=["hall"])
    boss.ok("closeRoom", room="hall")
    old = chat.wait_bridges(1)
    os.kill(old[0], 9)
    chat.wait_bridges(1, but=old)
    wait_for(lambda: chat.log().count("connected to the broker at") == 2, "the next bridge is connected")
    bob = session(chat, B)
    bob.send({"type": "join", "room": "hall", "ref": "1"})
    bob.expect_error("room_closed", field="room", ref="1")


# --- announcements ---

SYSTEM = {"type": "system", "code": "announcement", "sender": "System"}


def test_an_announcement_reaches_all_or_a_room(brokers):
    chat = moderated(brokers, bridges=2)
    boss = Moderator(chat)
    general = [chat.plain_ws(B, token=chat.issuer.token(B)) for _ in range(4)]
    for one in general:
        one.sync()
    hall = session(chat, C, rooms=["hall"])
    reader = member(chat, C)
    for end in ("events", "rooms/hall/events", "rooms/general"):
        assert reader.subscribe("chat/" + end) < 0x80
    boss.ok("announce", message="tea \u00e9 \"now\"")
    for one in general + [hall]:
        frame = one.expect(message="tea \u00e9 \"now\"", room=ABSENT, **SYSTEM)
        assert list(frame) == ["type", "code", "sender", "message"], frame
    frame = reader.expect(message="tea \u00e9 \"now\"", **SYSTEM)
    assert frame.topic == "chat/events" and frame.properties["content-type"] == "application/json", frame
    boss.ok("announce", message="dust", room="hall")
    hall.expect(message="dust", room="hall", **SYSTEM)
    assert reader.expect(message="dust", room="hall", **SYSTEM).topic == "chat/rooms/hall/events"
    for one in general + [reader, hall]:
        one.expect_nothing()
    boss.refused("announce", "missing_field", field="message")
    boss.refused("announce", "empty_message", field="message", message=" ")
    boss.refused("announce", "too_long", field="message", message="x" * 2001)
    boss.ok("announce", message="x" * 2000)


def test_nobody_else_writes_events_or_reads_those_of_others(chat):
    bob = member(chat, B).read_notices()
    for topic in ("chat/events", "chat/rooms/general/events", "chat/users/%s/events" % B, "chat/users/%s/events" % C):
        assert bob.publish(topic, {"message": "x"}) == REFUSED
        bob.expect_error("not_allowed")
    assert bob.subscribe("chat/users/%s/events" % C) == REFUSED
    assert bob.subscribe("chat/users/%s/events" % B) < 0x80


def test_an_announcement_comes_behind_what_was_said_before(chat):
    boss = Moderator(chat)
    carol = session(chat, C)
    bob = member(chat, B)
    for n in range(20):
        bob.send({"message": str(n)}, qos=1)
    boss.ok("announce", message="end")
    for n in range(20):
        carol.expect_message(str(n), B)
    carol.expect(message="end", **SYSTEM)


# --- deleted messages ---

def ask_page(one, **what):
    one.send(dict({"type": "history", "ref": "h"}, **what))
    return [frame["message"] for frame in one.expect(type="history", ref="h")["messages"]]


def http_texts(chat, address, path):
    answer = chat.http("GET", path, headers=[("Authorization", "Bearer " + chat.issuer.token(address))])
    assert answer.status == 200, answer
    found = answer.json
    return [one["message"] for one in (found["messages"] if isinstance(found, dict) else found)]


def in_files(chat, text):
    return [name for name in os.listdir(chat.folder) if name.startswith("history") or name.endswith((".db", "-wal", "-shm"))
            if text.encode() in open(os.path.join(chat.folder, name), "rb").read()]


def test_a_deleted_message_of_a_room(brokers):
    chat = moderated(brokers, history=True, bridges=2)
    boss = Moderator(chat)
    bob = session(chat, B, echo="1")
    opted = [session(chat, C, events="typing,deleted") for _ in range(3)]
    plain, elsewhere = session(chat, C), session(chat, C, rooms=["other"], events="deleted")
    mqtt, messages = member(chat, C), member(chat, C).read_room()
    assert mqtt.subscribe("chat/rooms/general/events") < 0x80
    said = []
    for text in ("one", "secret-text-zyx", "three"):
        bob.send({"message": text})
        said.append(bob.expect_message(text, B))
    for one in opted + [plain, messages]:
        for frame in said:
            one.expect_message(frame["message"], B)
    gone = said[1]["id"]
    wait_for(lambda: in_files(chat, "secret-text-zyx"), "the text is in a file")
    assert boss.ok("deleteMessage", id=gone) == {}
    for one in opted + [mqtt]:
        frame = one.expect(type="deleted", id=gone, room="general")
        assert list(frame) == ["type", "id", "room"], frame
    for one in (bob, plain, elsewhere, messages):
        one.expect_nothing()
    boss.refused("deleteMessage", "not_found", id=gone)
    boss.refused("deleteMessage", "not_found", id="01ARZ3NDEKTSV4RRFFQ69G5FAV")
    for bad in ("x", gone.lower(), gone + "0", ""):
        boss.refused("deleteMessage", "invalid_id", field="id", id=bad)
    # nobody finds it any more: pages, HTTP, since, before and after a restart; its id is still a place in history
    for _ in range(2):
        assert ask_page(session(chat, C), room="general")[:2] == ["one", "three"]
        assert http_texts(chat, C, "/rooms/general/messages")[:2] == ["one", "three"]
        back = session(chat, C, since=said[0]["id"])
        assert [one["message"] for one in read_replay(back)][:1] == ["three"]
        back = session(chat, C, since=gone)
        assert [one["message"] for one in read_replay(back)][:1] == ["three"]
        chat.restart()
    assert not in_files(chat, "secret-text-zyx")
    entry = Moderator(chat).ok("getAudit")["entries"][-1]
    assert (entry["command"], entry["id"], entry["result"]) == ("deleteMessage", gone, "ok"), entry


def read_replay(one):
    frames = []
    while True:
        frame = one.next()
        if frame.get("type") == "recovered":
            assert frame["complete"], frame
            if frame.get("room"):
                return frames
        elif "id" in frame:
            frames.append(frame)


def test_a_deleted_direct_message(brokers):
    chat = moderated(brokers, history=True)
    boss = Moderator(chat, client=None)
    bob, carol = session(chat, B, events="deleted"), session(chat, C, events="deleted")
    nosy = session(chat, A, events="deleted")
    mqtt = member(chat, C)
    assert mqtt.subscribe("chat/users/%s/events" % C) < 0x80
    bob.send({"message": "psst", "to": C, "ref": "1"})
    bob.expect_ack("1")
    gone = carol.expect_message("psst", B)["id"]
    bob.send({"message": "hm", "to": C, "ref": "2"})
    bob.expect_ack("2")
    carol.expect_message("hm", B)
    boss.ok("deleteMessage", id=gone)
    for one in (bob, carol, mqtt):
        frame = one.expect(type="deleted", id=gone, to=C)
        assert list(frame) == ["type", "id", "to"], frame
    nosy.expect_nothing()
    assert ask_page(bob, **{"with": C}) == ["hm"]
    assert http_texts(chat, C, "/messages/%s_%s" % (B, C)) == ["hm"]


def test_many_are_deleted_at_once_and_each_is_answered(brokers):
    chat = moderated(brokers, history=True)
    boss = Moderator(chat)
    bob = session(chat, B, echo="1")
    ids = []
    for n in range(20):
        bob.send({"message": "%d %s" % (n, "long " * 700)})
        ids.append(bob.next()["id"])
    assert boss.client.publish("$CONTROL/chat/v1", {"commands": [{"command": "deleteMessage", "id": one, "correlationData": one}
                                                               for one in ids] + [{"command": "listBans"}]}) == 0
    answers = [boss.client.next()["responses"] for _ in range(21)]
    assert answers[0][0]["command"] == "listBans", answers[0]
    assert answers[1:] == [[{"command": "deleteMessage", "correlationData": one}] for one in ids], answers
    assert ask_page(bob, room="general") == []


def test_a_session_that_asks_gets_the_later_answer_with_its_ref(brokers):
    chat = moderated(brokers, history=True)
    alice = session(chat, A, echo="1", events="deleted")
    alice.send({"message": "oops"})
    gone = alice.next()["id"]
    alice.send({"type": "command", "commands": [{"command": "deleteMessage", "id": gone}], "ref": "x"})
    alice.expect_all({"type": "deleted", "id": gone},
                     {"type": "response", "ref": "x", "responses": [{"command": "deleteMessage"}]})


def test_without_history_nothing_can_be_deleted(chat):
    Moderator(chat).refused("deleteMessage", "unavailable", id="01ARZ3NDEKTSV4RRFFQ69G5FAV")
