"""since=: what was missed is replayed, then closed by recovered, then live; nothing twice, no gap."""

import os
import random
import re
import signal
import struct
import threading

import pytest

from harness.dialogue import FACTOR, Closed, wait_for
from harness.history import (INBOX, Pour, Replay, burst, cut, history_file, is_message, place_of, raws, rows,
                             say, stored_ids, wait_stored, with_history)
from harness.websocket import HttpAnswer
from harness.wire import PUBCOMP, PUBLISH, PUBREC, PUBREL, string, write_properties

A, B, C = "alice@example.com", "bob@example.com", "carol@example.com"
OLD, NEVER = "01ARZ3NDEKTSV4RRFFQ69G5FAV", "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"


@pytest.fixture(params=["shared", "session"])
def chat(request, brokers):
    return with_history(brokers, fanout=request.param)


@pytest.fixture
def shared(brokers):
    return with_history(brokers)


def back(chat, since, user=B, rooms=None, **query):
    """A session that has come back: its replay, and itself."""
    session = chat.plain_ws(user, rooms=rooms, since=since if isinstance(since, str) else since["id"], **query)
    replay = Replay(session, rooms or [chat.room])
    replay.session = session
    return replay


# what comes, and in which order

def test_one_room(chat):
    frames = say(chat, "abcdef")
    got = back(chat, frames[1])
    assert raws(got.replay["general"]) == raws(frames[2:])
    assert got.ends["general"] == {"type": "recovered", "room": "general", "complete": True, "count": 4}
    assert got.ends[INBOX] == {"type": "recovered", "inbox": True, "complete": True, "count": 0}
    got.session.expect_nothing()
    live = say(chat, "g")
    assert got.session.expect_message("g", A).raw == live[0].raw


def test_the_newest_id_leaves_nothing_to_replay(chat):
    """Also at once after the message was received: not yet on disk, known all the same."""
    last = say(chat, ["first"])[0]
    reader, alice = chat.mqtt(B).read_room(), chat.mqtt(A)
    for n in range(20):
        alice.send({"message": "m%d" % n})
        frame = reader.expect_message("m%d" % n, A)
        got = back(chat, frame)
        assert got.complete() and got.texts() == [], n
        got.session.close()
        got = back(chat, last)
        assert got.complete() and raws(got.replay["general"]) == [frame.raw], n
        got.session.close()
        last = frame


def test_several_rooms_and_the_inbox(chat):
    first = say(chat, ["start"], room="one")[0]
    wanted = {"one": [], "two": [], INBOX: []}
    for n in range(4):
        wanted["one"] += say(chat, ["one %d" % n], room="one")
        say(chat, ["three %d" % n], room="three")
        wanted[INBOX] += say(chat, ["direct %d" % n], to=B)
        say(chat, ["for carol %d" % n], to=C)
        wanted["two"] += say(chat, ["two %d" % n], user=C, room="two")
    got = back(chat, first, rooms=["one", "two"])
    for place, frames in wanted.items():
        assert raws(got.replay[place]) == raws(frames), place
        assert got.complete(place)
    got.session.expect_nothing()
    live = {"one": say(chat, ["live one"], room="one"), INBOX: say(chat, ["live direct"], to=B)}
    say(chat, ["elsewhere"], room="three")
    got.session.expect_all({"message": "live one", "id": live["one"][0]["id"]},
                           {"message": "live direct", "id": live[INBOX][0]["id"]})
    got.session.expect_nothing()


def test_own_messages_are_replayed(chat):
    """Whoever was away does not know what of its own arrived: room, sent direct messages, notes to oneself."""
    first = say(chat, ["start"])[0]
    bob = chat.ws(B)
    for n, where in enumerate([{}, {"to": C}, {"to": B}]):
        bob.send({"message": "mine %d" % n, "ref": "r%d" % n, **where})
        bob.expect_all(*[{"type": "ack", "ref": "r%d" % n}] + [{"code": "recipient_offline"}] * (n == 1))
    bob.expect_nothing()
    got = back(chat, first)
    assert got.texts() == ["mine 0"] and got.texts(INBOX) == ["mine 1", "mine 2"]
    # Live it is as ever.
    got.session.send({"message": "mine 3"})
    got.session.expect_nothing()


def test_a_direct_message_to_somebody_away_waits_in_history(chat):
    first = say(chat, ["start"])[0]
    alice = chat.ws(A)
    alice.send({"message": "psst", "to": B, "ref": "r"})
    alice.expect_all({"type": "system", "code": "recipient_offline"}, {"type": "ack", "ref": "r"})
    got = back(chat, first)
    assert got.texts(INBOX) == ["psst"] and got.complete(INBOX)


def test_typing_is_never_replayed(chat):
    first = say(chat, ["start"])[0]
    alice = chat.ws(A)
    alice.send({"type": "typing", "ref": "t"})
    alice.expect(type="ack", ref="t")
    alice.send({"message": "said", "ref": "m"})
    alice.expect_ack("m")
    got = back(chat, first, events="typing")
    assert got.texts() == ["said"]
    assert [frame["type"] for frame in got.others] == ["ready"]


def test_ready_comes_first(chat):
    first = say(chat, ["start"], room="one")[0]
    say(chat, "ab", room="one")
    got = back(chat, first, rooms=["one", "two"], events="presence,typing")
    assert got.events[0] == {"type": "ready", "user": B, "rooms": ["one", "two"]}
    assert got.texts("one") == ["a", "b"]
    assert [frame["type"] for frame in got.others].count("ready") == 1


def test_frames_sent_at_once_wait_their_turn(chat):
    """What a client sends before its replay has ended is answered once, and is not lost."""
    first = say(chat, ["start"])[0]
    say(chat, ["m%d" % n for n in range(50)])
    reader = chat.mqtt(C).read_room()
    session = chat.raw_ws(B, since=first["id"])
    for n in range(20):
        session.send({"message": "eager %d" % n, "ref": "e%d" % n})
    got = Replay(session)
    for n in range(20):
        reader.expect_message("eager %d" % n, B)
    session.send({"message": "last", "ref": "last"})
    frames = got.others
    while not frames or frames[-1].get("ref") != "last":
        frames.append(session.next())
    assert [frame["ref"] for frame in frames] == ["e%d" % n for n in range(20)] + ["last"]
    assert got.texts()[:50] == ["m%d" % n for n in range(50)]
    # Its own are replayed if they were stored before the replay ended, and then only there.
    assert got.texts()[50:] == ["eager %d" % n for n in range(len(got.texts()) - 50)]


def test_a_room_joined_later_has_no_replay(chat):
    first = say(chat, ["start"])[0]
    say(chat, "ab", room="other")
    got = back(chat, first)
    got.session.join("other")
    got.session.expect_nothing()
    live = say(chat, "c", room="other")
    assert got.session.expect_message("c", A).raw == live[0].raw
    got.session.expect_nothing()


def test_a_room_joined_while_the_replay_is_under_way(chat):
    first = say(chat, ["start"])[0]
    say(chat, ["m%d" % n for n in range(100)])
    say(chat, "ab", room="other")
    session = chat.raw_ws(B, since=first["id"])
    session.send({"type": "join", "room": "other", "ref": "j"})
    got = Replay(session)
    if not got.others:
        session.expect(type="ack", ref="j")
    assert len(got.texts()) == 100
    session.rooms.add("other")
    live = say(chat, "c", room="other")
    assert session.expect_message("c", A).raw == live[0].raw
    session.expect_nothing()


def test_leaving_while_the_replay_is_under_way(chat):
    """The ack of the leave is the end of that room, replay or not."""
    first = say(chat, ["start"], room="one")[0]
    say(chat, ["m%d" % n for n in range(200)], room="one")
    session = chat.raw_ws(B, rooms=["one", "two"], since=first["id"])
    session.send({"type": "leave", "room": "one", "ref": "l"})
    frames = []
    while not frames or frames[-1].get("type") != "ack":
        frames.append(session.next())
    session.rooms.discard("one")
    said = [frame["message"] for frame in frames if is_message(frame)]
    assert said == ["m%d" % n for n in range(len(said))]
    say(chat, ["after"], room="one")
    rest = session._barrier()
    assert not [frame for frame in rest if is_message(frame) or frame.get("room") == "one"], rest
    say(chat, ["still"], room="two")
    session.expect_message("still", A)


def test_large_messages(chat):
    texts = ["😀" * 4000, "é" * 4000, "x", "\"\\\u0001\x7f\u2028" * 800]
    first = say(chat, ["start"])[0]
    frames = say(chat, texts)
    got = back(chat, first)
    assert raws(got.replay["general"]) == raws(frames) and got.texts() == texts


@pytest.mark.parametrize("value", ["", "x", "01ARZ3NDEKTSV4RRFFQ69G5FA", "01ARZ3NDEKTSV4RRFFQ69G5FAVX",
                                   "01ARZ3NDEKTSV4RRFFQ69G5FAU", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "01ARZ3NDEKTSV4RRFFQ69G5FA%00"])
def test_what_is_no_id(shared, value):
    session = shared.raw_ws(B, path="/ws/%s?since=%s" % (B, value))
    session.expect_close(4100)


# how far back

def test_an_unknown_id(chat):
    """complete:false says that something may be missing; what is there after it comes all the same."""
    frames = say(chat, "abc")
    direct = say(chat, ["psst"], to=B)
    got = back(chat, OLD)
    assert raws(got.replay["general"]) == raws(frames) and not got.complete()
    assert raws(got.replay[INBOX]) == raws(direct) and not got.complete(INBOX)
    # Of the same millisecond as a known one, or never given.
    between = frames[1]["id"][:10] + "0" * 16
    for since in (between, NEVER):
        got = back(chat, since)
        assert not got.complete() and not got.complete(INBOX), since
        assert raws(got.replay["general"]) == raws(frames)[len(frames) - len(got.texts()):]


def test_nothing_was_ever_said(chat):
    got = back(chat, OLD)
    assert got.texts() == [] and not got.complete() and not got.complete(INBOX)
    live = say(chat, "a")
    assert got.session.expect_message("a", A).raw == live[0].raw
    # From here on there is an id, and it is enough.
    got = back(chat, live[0])
    assert got.complete() and got.complete(INBOX)


def test_any_known_id_will_do(chat):
    """Of another room, of a direct message: order is over all places."""
    one = say(chat, "a", room="elsewhere")[0]
    frames = say(chat, "bc")
    assert raws(back(chat, one).replay["general"]) == raws(frames)
    note = say(chat, ["note"], user=B, to=B)[0]
    more = say(chat, "d")
    got = back(chat, note)
    assert raws(got.replay["general"]) == raws(more) and got.complete() and got.texts(INBOX) == []


def test_a_thousand_and_no_more(chat):
    alice = chat.mqtt(A)
    first = say(chat, ["start"])[0]
    burst(alice, [{"message": "m%d" % n} for n in range(1000)])
    second = say(chat, ["end"])[0]
    # 1001 are missed since the first, and one since the last but one.
    got = back(chat, first)
    assert got.ends["general"] == {"type": "recovered", "room": "general", "complete": False, "count": 1000}
    assert got.texts() == ["m%d" % n for n in range(1, 1000)] + ["end"]
    assert got.complete(INBOX)
    wait_stored(chat, second["id"])
    got = back(chat, stored_ids(chat)[1])
    assert got.complete() and got.texts() == ["m%d" % n for n in range(1, 1000)] + ["end"]


def test_a_thousand_direct_messages_and_no_more(shared):
    alice = shared.mqtt(A)
    first = say(shared, ["start"], to=B)[0]
    room = say(shared, "ab")
    burst(alice, [{"message": "m%d" % n} for n in range(1001)], to=B)
    got = back(shared, first)
    assert got.ends[INBOX] == {"type": "recovered", "inbox": True, "complete": False, "count": 1000}
    assert got.texts(INBOX) == ["m%d" % n for n in range(1, 1001)]
    # Each place has its own thousand.
    assert raws(got.replay["general"]) == raws(room) and got.complete()


def test_history_was_trimmed(brokers):
    chat = with_history(brokers, history_messages="10")
    frames = say(chat, ["m%d" % n for n in range(40)])
    wait_stored(chat, frames[-1]["id"])
    wait_for(lambda: len(rows(chat)) <= 10, "trimmed", 20 * FACTOR)
    kept = stored_ids(chat)
    assert kept == [frame["id"] for frame in frames[-len(kept):]] and kept
    got = back(chat, frames[3])
    assert not got.complete() and [frame["id"] for frame in got.replay["general"]] == kept
    assert not got.complete(INBOX)
    got = back(chat, kept[0])
    assert got.complete() and [frame["id"] for frame in got.replay["general"]] == kept[1:]


def test_history_is_off(brokers):
    """Nothing is replayed, and that is said; live is as ever."""
    chat = with_history(brokers, history=False)
    frames = say(chat, "ab")
    got = back(chat, frames[0])
    assert got.texts() == [] and not got.complete() and not got.complete(INBOX)
    say(chat, "c")
    got.session.expect_message("c", A)


# messages that are accepted before they are delivered

def unreleased(chat, where):
    """An author of QoS 2 whose message has been accepted, and the id that awaits its PUBREL."""
    author, mid = chat.mqtt(A), struct.pack("!H", 77)
    author.packet(PUBLISH, 4, string(author.send_topic(**where)) + mid + write_properties({}) + b'{"message":"late"}')
    assert author._wait(PUBREC, mid) is not None
    return author, mid


@pytest.mark.parametrize("way", ["room", "direct"])
def test_a_message_released_late_comes_once(chat, way):
    """QoS 2: accepted at PUBLISH, delivered at PUBREL, which is where it is in the order from then on."""
    where = {"to": B} if way == "direct" else {}
    place = INBOX if where else "general"
    first = say(chat, ["start"])[0]
    author, mid = unreleased(chat, where)
    middle = say(chat, ["middle"], user=C, **where)[0]
    wait_stored(chat, middle["id"])
    early = back(chat, first)
    late_before = early.texts(place).count("late")
    author.packet(PUBREL, 2, mid)
    assert author._wait(PUBCOMP, mid) is not None
    after = [event["message"] for event in early.session._barrier()]
    # Around a replay it may come twice: what is stored is shown before its author has released it.
    assert late_before <= 1 and after.count("late") == 1, (early.texts(place), after)
    # It was delivered behind the other one: whoever saw that has missed it.
    got = back(chat, middle)
    assert got.texts(place) == ["late"] and got.complete(place)
    got = back(chat, got.replay[place][0])
    assert got.texts(place) == [] and got.complete(place)
    assert back(chat, first).texts(place) == ["middle", "late"]


@pytest.mark.parametrize("way", ["room", "direct"])
def test_a_message_whose_release_the_broker_has_forgotten(brokers, way):
    """A killed broker knows nothing of what it had accepted, and says yes to its author's PUBREL: who has read
    further meanwhile finds the message behind that."""
    chat = with_history(brokers)
    chat.allow(".*")
    where = {"to": B} if way == "direct" else {}
    place = INBOX if where else "general"
    author, mid = unreleased(chat, where)
    middle = say(chat, ["middle"], user=C, **where)[0]
    wait_stored(chat, middle["id"])
    chat.kill()
    chat.close_clients()
    chat.start()
    author = chat.mqtt(A)
    author.packet(PUBREL, 2, mid)
    assert author._wait(PUBCOMP, mid) is not None
    got = back(chat, middle)
    assert got.texts(place) == ["late"] and got.complete(place)
    # Once is enough, also after the next start.
    chat.restart()
    got = back(chat, got.replay[place][0])
    assert got.texts(place) == [] and got.complete(place)


# while messages pour in

def read_on(session, place, got, limit):
    """Reads live messages of that place until limit of them have come."""
    for _ in range(limit):
        frame = session.next()
        assert not isinstance(frame, Closed) and place_of(frame) == place, frame
        got.append(frame)


def numbers(frames):
    return [int(frame["message"]) for frame in frames]


@pytest.mark.parametrize("place", ["general", INBOX])
@pytest.mark.promise("WebSocket with since", "client connection cut")
def test_while_messages_pour_in(chat, place):
    """Comes back again and again, with the last id it saw: each is there once, in order, without a gap."""
    first = say(chat, ["start"], **({"to": B} if place is INBOX else {}))[0]
    pour = Pour(chat, topics=["chat/users/bob@example.com/send"] if place is INBOX else None, rate=500)
    seen, last = [], first["id"]
    choice = random.Random(7)
    while len(seen) < 700:
        pour.at_least(len(seen) + 20)
        session = chat.raw_ws(B, since=last)
        replay = Replay(session)
        got = replay.all(place)
        assert numbers(replay.replay[place]) == list(range(len(seen), len(seen) + len(replay.replay[place])))
        read_on(session, place, got, choice.choice([0, 1, 10, 60]))
        cut(session)
        assert replay.complete(place)
        seen += numbers(got)
        assert seen == list(range(len(seen)))
        if got:
            last = got[-1]["id"]
    count = pour.stop()
    seen += numbers(back(chat, last).replay[place])
    assert seen == list(range(count))


def test_while_messages_pour_into_many_places(brokers):
    """Places come on different ways: since= is the oldest of the places' newest ids, and what is known is dropped."""
    chat = with_history(brokers, bridges="2")
    rooms = ["one", "two"]
    first = say(chat, ["start"])[0]["id"]
    topics = ["chat/rooms/one/send", "chat/rooms/two/send", "chat/users/bob@example.com/send"]
    pour = Pour(chat, topics=topics, rate=500)
    newest, seen = dict.fromkeys([*rooms, INBOX], first), {place: [] for place in [*rooms, INBOX]}

    def take(frame):
        place = place_of(frame)
        if frame["id"] > newest[place]:
            newest[place] = frame["id"]
            seen[place].append(int(frame["message"]))
    choice = random.Random(11)
    while sum(map(len, seen.values())) < 700:
        pour.at_least(sum(map(len, seen.values())) + 20)
        session = chat.raw_ws(B, rooms=rooms, since=min(newest.values()))
        for frame in Replay(session, rooms).events:
            if is_message(frame):
                take(frame)
        for _ in range(choice.choice([0, 1, 10, 60])):
            take(session.next())
        cut(session)
    count = pour.stop()
    for frame in Replay(chat.raw_ws(B, rooms=rooms, since=min(newest.values())), rooms).events:
        if is_message(frame):
            take(frame)
    for n, place in enumerate([*rooms, INBOX]):
        assert seen[place] == list(range(n, count, 3)), place


def test_many_come_back_at_once(chat):
    """A crowd redials together while messages pour in; for each of them it is as if it were alone."""
    first = say(chat, ["start"])[0]
    pour = Pour(chat, rate=200)
    pour.at_least(50)
    outcome = []

    def come(n):
        session = chat.raw_ws("u%d@example.com" % n, since=first["id"])
        replay = Replay(session)
        got = replay.all()
        while len(got) < 200:
            got.append(session.next())
        outcome.append(numbers(got)[:200] == list(range(200)) and replay.complete())
    threads = [threading.Thread(target=come, args=(n,)) for n in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30 * FACTOR)
    pour.stop()
    assert outcome == [True] * 30


def test_history_is_trimmed_while_messages_pour_in(brokers):
    """complete:true is never said of a replay with a hole; what comes is the newest, without a hole, in any case."""
    chat = with_history(brokers, history_messages="60")
    first = say(chat, ["start"])[0]
    pour = Pour(chat, rate=600)
    last, at, said = first["id"], -1, []
    choice = random.Random(3)
    for _ in range(25):
        pour.at_least(at + 1 + choice.choice([10, 50, 100]))
        session = chat.raw_ws(B, since=last)
        replay = Replay(session)
        got = numbers(replay.all() + [session.next()])
        cut(session)
        assert got == list(range(got[0], got[0] + len(got)))
        assert got[0] > at and (got[0] == at + 1 or not replay.complete()), (at, got[0])
        said.append(replay.complete())
        last, at = replay.all()[-1]["id"] if replay.all() else last, got[-2] if len(got) > 1 else at
    pour.stop()
    assert True in said and False in said, said


# things that break

@pytest.mark.promise("WebSocket with since", "bridge killed")
def test_bridge_killed(chat):
    chat.allow("chat-bridge", "Socket error", "protocol error")
    first = say(chat, ["start"])[0]
    pour = Pour(chat)
    seen, last = [], first["id"]
    for _ in range(3):
        [pid] = chat.wait_bridges(1)
        session = chat.raw_ws(B, since=last)
        replay = Replay(session)
        got = replay.all()
        read_on(session, "general", got, 20)
        os.kill(pid, signal.SIGKILL)
        rest, _ = session.drain_until_close(1006)
        got += rest
        assert replay.complete()
        seen += numbers(got)
        assert seen == list(range(len(seen)))
        last = got[-1]["id"]
        pour.at_least(len(seen) + 50)
        chat.wait_bridges(1, but=(pid,))
    count = pour.stop()
    seen += numbers(back(chat, last).replay["general"])
    assert seen == list(range(count))


@pytest.mark.promise("WebSocket with since", "broker restarted in good order")
@pytest.mark.parametrize("history_sync", ["off", "on"])
def test_broker_restarted(brokers, history_sync):
    """All that was confirmed is there, also what was accepted in the last moment."""
    chat = with_history(brokers, history_sync=history_sync)
    first = say(chat, ["start"])[0]
    last = first
    for n in range(3):
        frames = say(chat, ["%d %d" % (n, i) for i in range(20)])
        direct = say(chat, ["direct %d" % n], to=B)
        chat.restart()
        got = back(chat, last)
        assert raws(got.replay["general"]) == raws(frames) and raws(got.replay[INBOX]) == raws(direct)
        assert got.complete() and got.complete(INBOX)
        last = direct[0]
        # New ids are behind all of before.
        live = say(chat, ["live"])[0]
        assert live["id"] > last["id"]
        got.session.expect_message("live", A)
        last = live


@pytest.mark.promise("WebSocket with since", "broker killed")
@pytest.mark.parametrize("history_sync", ["off", "on"])
def test_broker_killed(brokers, history_sync):
    """With history_sync what was acked; without it what was acked and is in the file: 50 ms later."""
    chat = with_history(brokers, history_sync=history_sync)
    chat.allow(".*")
    last = say(chat, ["start"])[0]
    bob = chat.ws(B)
    for round_ in range(3):
        alice = chat.ws(A)
        count = 25
        alice.send_many([{"message": "%d %d" % (round_, n), "ref": "%d %d" % (round_, n)} for n in range(count)])
        acked = [alice.expect_ack("%d %d" % (round_, n))["id"] for n in range(count)]
        if history_sync == "off":
            wait_stored(chat, *acked)
        chat.kill()
        chat.close_clients()
        chat.start()
        got = back(chat, last)
        assert [frame["id"] for frame in got.replay["general"]] == acked and got.complete()
        live = say(chat, ["live"])[0]
        assert live["id"] > acked[-1]
        got.session.expect_message("live", A)
        last = live
    del bob
    assert rows(chat, "PRAGMA integrity_check") == [("ok",)]


def test_unacknowledged_and_lost_with_the_broker(brokers):
    """Whatever a kill takes with it: what came live and is gone is not replayed in parts, and the id is unknown."""
    chat = with_history(brokers)
    chat.allow(".*")
    first = say(chat, ["start"])[0]
    wait_stored(chat, first["id"])
    frames = say(chat, ["m%d" % n for n in range(50)])
    chat.kill()
    chat.close_clients()
    kept = stored_ids(chat)
    assert kept == [first["id"]] + [frame["id"] for frame in frames][:len(kept) - 1]
    chat.start()
    got = back(chat, frames[-1])
    assert got.complete() == (frames[-1]["id"] in kept)
    got = back(chat, first)
    assert [frame["id"] for frame in got.replay["general"]] == kept[1:] and got.complete()


# slow readers

@pytest.mark.promise("WebSocket with since", "slow reader")
def test_a_slow_reader_gets_a_replay_larger_than_its_outbox(brokers):
    chat = with_history(brokers, outbox_bytes="64k", outbox_seconds="1s")
    text = "😀" * 3900
    first = say(chat, ["start"])[0]
    count = 350
    burst(chat.mqtt(A), [{"message": "%d %s" % (n, text)} for n in range(count)])
    # 5.5 MB for each: more than kernel buffers hold.
    slow = chat.raw_ws(B, since=first["id"], receive_buffer=4096)
    fast = chat.plain_ws(C, since=first["id"])
    got = Replay(fast, timeout=30 * FACTOR)
    assert [int(frame["message"].split(" ")[0]) for frame in got.replay["general"]] == list(range(count))
    live = say(chat, ["live"])[0]
    assert fast.expect_message("live", A).raw == live.raw
    # By now it would have been too slow for live messages, which are more than its outbox too; it reads at last.
    more = 60
    fast.close()
    reader = chat.mqtt(C).read_room()
    burst(chat.mqtt(A), [{"message": "%d %s" % (n, text)} for n in range(count, count + more)])
    for n in range(count, count + more):
        reader.expect(message=re.compile("%d .*" % n))
    got = Replay(slow, timeout=60 * FACTOR)
    assert got.complete()
    frames = got.all()
    while len(frames) < count + 1 + more:
        frames.append(slow.next())
    wanted = [str(n) for n in range(count)] + ["live"] + [str(n) for n in range(count, count + more)]
    assert [frame["message"].split(" ")[0] for frame in frames] == wanted
    slow.expect_nothing()


def test_the_end_of_a_replay_closes_nobody(brokers):
    """Its last page and what was held for it are more than the smallest outbox together."""
    chat = with_history(brokers, outbox_bytes="64k")
    text = "😀" * 3900
    frames = say(chat, ["%d %s" % (n, text) for n in range(120)])
    # Pages end at different places.
    slow = [chat.raw_ws("u%d@example.com" % n, since=frames[n]["id"], receive_buffer=4096) for n in range(6)]
    chat.ws(C)  # asked to join behind them
    live = say(chat, ["live %d %s" % (n, text) for n in range(2)])
    for n, session in enumerate(slow):
        got = Replay(session, timeout=20 * FACTOR)
        rest = got.all()
        while len(rest) < 121 - n:
            rest.append(session.next())
        assert raws(rest) == raws(frames[n + 1:] + live)


def test_history_is_trimmed_under_a_slow_reader(brokers):
    """What is gone before it could be read makes the replay incomplete, and that is said."""
    count = 150
    chat = with_history(brokers, history_messages=str(count), outbox_bytes="1m")
    text = "😀" * 3900
    first = say(chat, ["start"])[0]
    alice = chat.mqtt(A)
    burst(alice, [{"message": "%d %s" % (n, text)} for n in range(count - 50)])
    slow = chat.raw_ws(B, since=first["id"], receive_buffer=4096)
    fast = chat.plain_ws(C, since=first["id"])
    assert Replay(fast, timeout=30 * FACTOR).complete()
    fast.close()
    # The slow one has its first pages; meanwhile all of it is replaced.
    burst(alice, [{"message": "%d %s" % (n, text)} for n in range(count - 50, 3 * count)])
    end = say(chat, ["end"])[0]
    wait_stored(chat, end["id"])
    wait_for(lambda: len(rows(chat, "SELECT n FROM messages")) <= count, "trimmed")
    replay = Replay(slow, timeout=60 * FACTOR)
    frames = replay.all()
    while frames[-1]["id"] != end["id"]:
        frames.append(slow.next())
    known = [int(frame["message"].split(" ")[0]) for frame in frames[:-1]]
    assert known == sorted(set(known)) and known[0] == 0
    assert len(known) < 3 * count and not replay.complete()


@pytest.mark.promise("WebSocket without device", "slow reader")
def test_closed_for_being_slow_and_back_with_since(brokers):
    chat = with_history(brokers, outbox_bytes="64k")
    text = "x" * 3900
    slow = chat.raw_ws(B, events="typing", receive_buffer=4096)
    slow.expect_ready()
    alice = chat.mqtt(A)
    since = say(chat, ["start"])[0]["id"]
    slow.expect_message("start", A)
    sent = 0
    while "4001" not in chat.log():
        assert sent < 6000, "never closed"
        burst(alice, [{"message": "%d %s" % (n, text)} for n in range(sent, sent + 100)])
        sent += 100
    got, _ = slow.drain_until_close(4001, timeout=30 * FACTOR)
    seen = [int(frame["message"].split(" ")[0]) for frame in got]
    if got:
        since = got[-1]["id"]
    while len(seen) < sent:
        again = back(chat, since)
        new = [int(frame["message"].split(" ")[0]) for frame in again.replay["general"]]
        assert again.complete() == (new[0] == len(seen)) and new == list(range(new[0], sent))
        seen = list(range(new[0])) + new
        since = again.replay["general"][-1]["id"]


def test_who_leaves_in_the_middle_of_a_replay(chat):
    """Nothing is left behind and nobody else is held up."""
    first = say(chat, ["start"])[0]
    burst(chat.mqtt(A), [{"message": "%d %s" % (n, "x" * 3900)} for n in range(500)])
    for _ in range(10):
        try:
            cut(chat.raw_ws(B, since=first["id"], receive_buffer=4096))
        except HttpAnswer as answer:
            pytest.fail("refused: %r" % answer)
    got = back(chat, first)
    assert len(got.texts()) == 500
    [pid] = chat.bridge_pids()

    def files():
        found = 0
        for name in os.listdir("/proc/%d/fd" % pid):
            try:
                found += os.readlink("/proc/%d/fd/%s" % (pid, name)).startswith(history_file(chat))
            except OSError:
                pass
        return found
    wait_for(lambda: files() <= 8, lambda: "%d descriptors of the history file" % files())
