"""Paging through what is stored: history frames and their HTTP forms, for rooms and for pairs."""

import json
import os
import re
import urllib.parse

import pytest

import harness.history
from harness.dialogue import ABSENT
from harness.history import burst, history_file, raws, wait_stored, with_history
from harness.websocket import HttpAnswer

A, B, C = "alice@example.com", "bob@example.com", "carol@example.com"
PAGE_BYTES = 256 * 1024
OLD, NEVER = "01ARZ3NDEKTSV4RRFFQ69G5FAV", "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"


@pytest.fixture
def chat(brokers):
    return with_history(brokers)


def say(chat, texts, user=A, **where):
    """As everywhere; and it is stored."""
    frames = harness.history.say(chat, texts, user, **where)
    if os.path.exists(history_file(chat)):
        wait_stored(chat, *[frame["id"] for frame in frames])
    return frames


class _Ways:
    """The same question as a frame and over HTTP; both answer (list of messages' bytes, complete)."""

    def __init__(self, chat, user="pager@example.com"):
        self.chat = chat
        # Nothing live comes to it in between.
        self.session = chat.plain_ws(user, rooms=["nowhere"]).sync()
        self.asked = 0

    def frame(self, **request):
        self.asked += 1
        ref = "h%d" % self.asked
        self.session.send({"type": "history", **request, "ref": ref})
        answer = self.session.expect(type="history", ref=ref)
        key = "room" if "room" in request else "with"
        assert list(answer) == ["type", key, "messages", "complete", "ref"], list(answer)
        assert answer[key] == request[key] and isinstance(answer["complete"], bool)
        return split(answer.raw, answer["messages"]), answer["complete"]

    def http(self, room, **request):
        path = "/rooms/%s/messages" % room + ("?" + urllib.parse.urlencode(request) if request else "")
        answer = self.chat.http("GET", path)
        assert answer.status == 200, answer
        assert answer.headers["content-type"].split(";")[0] == "application/json"
        body = answer.json
        assert list(body) == ["messages", "complete"] and isinstance(body["complete"], bool)
        return split(answer.body, body["messages"]), body["complete"]


def split(raw, messages):
    """The bytes of each message as they stand in the answer: canonical JSON has one form only."""
    found = [json.dumps(m, ensure_ascii=False, separators=(",", ":")).encode() for m in messages]
    assert b'"messages":[' + b",".join(found) + b"]" in raw, raw[:300]
    return found


@pytest.fixture(params=["frame", "http"])
def page(request, chat):
    """page(room=, before=, after=, limit=)"""
    ways = _Ways(chat)
    return getattr(ways, request.param)


# rooms, both ways

def test_the_newest_fifty(chat, page):
    frames = say(chat, ["m%d" % n for n in range(60)])
    say(chat, ["elsewhere"], room="other")
    say(chat, ["psst"], to=B)
    assert page(room="general") == (raws(frames[10:]), False)
    assert page(room="general", limit=60) == (raws(frames), True)
    assert page(room="general", limit=59) == (raws(frames[1:]), False)
    assert page(room="general", limit=200) == (raws(frames), True)
    assert page(room="general", limit=1) == (raws(frames[-1:]), False)


def test_at_once_after_it_was_said(chat, page):
    """A page holds what its reader may have seen already, written to disk or not."""
    reader = chat.mqtt(C).read_room()
    alice = chat.mqtt(A)
    for n in range(15):
        alice.send({"message": "m%d" % n})
        frame = reader.expect_message("m%d" % n, A)
        assert page(room="general", limit=1)[0] == [frame.raw]


def test_backwards(chat, page):
    frames = say(chat, ["m%d" % n for n in range(25)])
    got, complete, before = [], False, {}
    steps = 0
    while not complete:
        messages, complete = page(room="general", limit=10, **before)
        got = messages + got
        before = {"before": json.loads(got[0])["id"]}
        steps += 1
    assert got == raws(frames) and steps == 3
    # Exactly at the end, too.
    assert page(room="general", before=frames[10]["id"], limit=10) == (raws(frames[:10]), True)
    assert page(room="general", before=frames[11]["id"], limit=10) == (raws(frames[1:11]), False)
    assert page(room="general", before=frames[0]["id"]) == ([], True)


def test_forwards(chat, page):
    frames = say(chat, ["m%d" % n for n in range(25)])
    got, complete, after = [], False, frames[0]["id"]
    steps = 0
    while not complete:
        messages, complete = page(room="general", limit=8, after=after)
        got += messages
        after = json.loads(got[-1])["id"]
        steps += 1
    assert got == raws(frames[1:]) and steps == 3
    assert page(room="general", after=frames[-1]["id"]) == ([], True)
    assert page(room="general", after=frames[-2]["id"], limit=1) == (raws(frames[-1:]), True)


def test_between(chat, page):
    frames = say(chat, ["m%d" % n for n in range(20)])
    assert page(room="general", after=frames[4]["id"], before=frames[9]["id"])[0] == raws(frames[5:9])
    assert page(room="general", after=frames[4]["id"], before=frames[5]["id"])[0] == []
    assert page(room="general", after=frames[9]["id"], before=frames[4]["id"])[0] == []


def test_ids_need_not_exist(chat, page):
    """Ids are ordered by time: a page may begin at any of them."""
    frames = say(chat, "abc")
    other = say(chat, ["elsewhere"], room="other")[0]
    more = say(chat, "de")
    assert page(room="general", before=other["id"]) == (raws(frames), True)
    assert page(room="general", after=other["id"]) == (raws(more), True)
    assert page(room="general", before=NEVER) == (raws(frames + more), True)
    assert page(room="general", after=OLD, limit=2) == (raws(frames[:2]), False)
    assert page(room="general", before=OLD) == ([], True)
    assert page(room="general", after=NEVER) == ([], True)


def test_a_room_that_nobody_used(chat, page):
    say(chat, "a")
    assert page(room="nobody-was.here") == ([], True)


def test_rooms_one_is_not_in(chat, page):
    """Rooms are open to anybody connected."""
    frames = say(chat, "ab", room="other")
    assert page(room="other") == (raws(frames), True)


def test_the_bytes_are_those_delivered(chat, page):
    texts = ["😀" * 4000, "é\u2028 \" \\ / \n\t\u0001", "\x7f", "</script>", "null", "\U0010ffff"]
    frames = say(chat, texts)
    assert page(room="general", limit=6) == (raws(frames), True)


def test_a_page_is_at_most_256_kb(chat, page):
    text = "😀" * 3990
    alice, reader = chat.mqtt(A), chat.mqtt(C).read_room()
    count = 40
    burst(alice, [{"message": "%02d%s" % (n, text)} for n in range(count)])
    frames = [reader.next() for n in range(count)]
    wait_stored(chat, frames[-1]["id"])
    got, complete, before, pages = [], False, {}, 0
    while not complete:
        messages, complete = page(room="general", limit=200, **before)
        assert messages and len(b",".join(messages)) <= PAGE_BYTES
        # No page is small without need.
        assert complete or len(b",".join(messages)) > PAGE_BYTES - 2 * len(messages[0])
        got = messages + got
        before = {"before": json.loads(got[0])["id"]}
        pages += 1
    assert got == raws(frames) and pages == 3
    got, complete, after = [], False, OLD
    while not complete:
        messages, complete = page(room="general", limit=200, after=after)
        assert messages and len(b",".join(messages)) <= PAGE_BYTES
        got += messages
        after = json.loads(got[-1])["id"]
    assert got == raws(frames)


def test_after_a_restart(brokers):
    chat = with_history(brokers)
    frames = say(chat, "abc")
    chat.restart()
    more = say(chat, "de")
    ways = _Ways(chat)
    assert ways.frame(room="general") == (raws(frames + more), True)
    assert ways.http(room="general", after=frames[1]["id"]) == (raws(frames[2:] + more), True)


# pairs, as frames

def test_a_pair(chat):
    ways = _Ways(chat, B)
    frames = []
    for n in range(6):
        frames += say(chat, ["to bob %d" % n], to=B)
        frames += say(chat, ["to alice %d" % n], user=B, to=A)
        say(chat, ["to carol %d" % n], to=C)
        say(chat, ["of carol %d" % n], user=C, to=B)
        say(chat, ["in the room"])
    ways.session._barrier()
    assert ways.frame(**{"with": A}) == (raws(frames), True)
    assert ways.frame(**{"with": A, "limit": 5}) == (raws(frames[-5:]), False)
    assert ways.frame(**{"with": A, "before": frames[4]["id"], "limit": 4}) == (raws(frames[:4]), True)
    assert ways.frame(**{"with": A, "after": frames[4]["id"], "limit": 4}) == (raws(frames[5:9]), False)
    assert [json.loads(m)["message"] for m in ways.frame(**{"with": C})[0]] == ["of carol %d" % n for n in range(6)]
    assert ways.frame(**{"with": "stranger@example.com"}) == ([], True)


def test_a_pair_with_oneself(chat):
    ways = _Ways(chat, B)
    frames = say(chat, ["note 1", "note 2"], user=B, to=B)
    say(chat, ["psst"], to=B)
    ways.session._barrier()
    assert ways.frame(**{"with": B}) == (raws(frames), True)


def test_nobody_sees_a_pair_that_is_not_theirs(chat):
    """The pair is the session's own identity and the other: there is no way to say another one."""
    say(chat, ["secret"], to=C)
    bob = chat.plain_ws(B).sync()
    for other in (A, C):
        bob.send({"type": "history", "with": other, "ref": other})
        answer = bob.expect(type="history", ref=other)
        assert answer["messages"] == [] and answer["complete"] is True
    bob.send({"type": "history", "with": C, "from": A, "ref": "r"})
    bob.expect_error(re.compile("unknown_field|sender_mismatch"), field="from", ref="r")
    bob.send({"type": "history", "with": "%s_%s" % (A, C), "ref": "r"})
    bob.expect(type=re.compile("error|history"), ref="r", **{"messages": ABSENT})


@pytest.mark.parametrize("a, b", [
    ("a_b@example.com", "c_d@example.com"), ("a@example.com", "a_@example.com"), ("x+y@example.com", "x%y@example.com"),
    ("a/b@example.com", "b&c=d?e@example.com"), ("Z@example.com", "a@example.com"),
])
def test_odd_addresses(chat, a, b):
    frames = say(chat, ["one"], user=a, to=b) + say(chat, ["two"], user=b, to=a)
    session = chat.plain_ws(a).sync()
    session.send({"type": "history", "with": b, "ref": "r"})
    assert split((answer := session.expect(type="history", ref="r")).raw, answer["messages"]) == raws(frames)
    chat_id = "_".join(sorted([a, b]))
    wanted = [{"chat_id": chat_id, "sender_id": f["sender"], "receiver_id": f["to"], "message": f["message"],
               "timestamp": f["timestamp"]} for f in frames]
    quote = urllib.parse.quote
    for path in ("%s_%s" % (quote(a, safe="@"), quote(b, safe="@")), "%s_%s" % (quote(b, safe="@"), quote(a, safe="@")),
                 quote(a + "_" + b, safe="")):
        answer = chat.http("GET", "/messages/" + path)
        assert answer.status == 200 and answer.json == wanted, (path, answer)


def test_domains_are_of_one_spelling(chat):
    frames = say(chat, ["one"], to=B)
    session = chat.plain_ws(A).sync()
    session.send({"type": "history", "with": "bob@EXAMPLE.com", "ref": "r"})
    answer = session.expect(type="history", ref="r")
    assert answer["messages"] == frames
    answer = chat.http("GET", "/messages/alice@EXAMPLE.com_bob@Example.COM")
    assert [m["message"] for m in answer.json] == ["one"] and answer.json[0]["receiver_id"] == B


# pairs, over HTTP

def test_the_shape_of_the_original_service(chat):
    frames = say(chat, ["one"], to=B) + say(chat, ["two \" é"], user=B, to=A)
    say(chat, ["other"], to=C)
    for pair in ("%s_%s" % (A, B), "%s_%s" % (B, A)):
        answer = chat.http("GET", "/messages/" + pair)
        assert answer.status == 200 and answer.headers["content-type"].split(";")[0] == "application/json"
        assert answer.json == [
            {"chat_id": "alice@example.com_bob@example.com", "sender_id": f["sender"], "receiver_id": f["to"],
             "message": f["message"], "timestamp": f["timestamp"]} for f in frames]
        assert list(answer.json[0]) == ["chat_id", "sender_id", "receiver_id", "message", "timestamp"]


def test_pages_of_a_pair(chat):
    frames = say(chat, ["m%d" % n for n in range(60)], to=B)
    path = "/messages/%s_%s" % (A, B)

    def texts(query=""):
        return [m["message"] for m in chat.http("GET", path + query).json]
    wanted = [f["message"] for f in frames]
    assert texts() == texts("?limit=200") == wanted
    assert texts("?limit=50") == wanted[10:]
    assert texts("?before=%s&limit=5" % frames[20]["id"]) == wanted[15:20]
    assert texts("?limit=5&after=%s" % frames[20]["id"]) == wanted[21:26]


@pytest.mark.parametrize("pair", ["nobody@example.com_nothing@example.com", A + "_" + C, A + "_" + A])
def test_an_unknown_pair(chat, pair):
    say(chat, ["one"], to=B)
    answer = chat.http("GET", "/messages/" + pair)
    assert answer.status == 200 and answer.body == b"[]"


@pytest.mark.parametrize("pair", ["", "x", "_", A, A + "_", "_" + A, A + B, A + "_bob", "a_b_c", A + "_%zz", A + "_" + B + "/x",
                                  A + "_" + "x" * 65 + "@example.com", A + "_" + B + "%00"])
def test_what_is_no_pair(chat, pair):
    """Never somebody's messages, never a crash: a refusal with its reason."""
    say(chat, ["one"], to=B)
    answer = chat.http("GET", "/messages/" + pair)
    assert answer is not None
    assert answer.status in (400, 404) and set(answer.json) == {"error", "message"}, answer
    assert chat.http("GET", "/messages/%s_%s" % (A, B)).status == 200


# refusals

REF = {"type": "history", "ref": "r"}


@pytest.mark.parametrize("more, code, field", [
    ({"room": "general", "limit": 0}, None, "limit"),
    ({"room": "general", "limit": 201}, None, "limit"),
    ({"room": "general", "limit": -1}, None, "limit"),
    ({"room": "general", "limit": 1.5}, None, "limit"),
    ({"room": "general", "limit": 10 ** 30}, None, "limit"),
    ({"room": "general", "limit": "x"}, "wrong_type", "limit"),
    ({"room": "general", "limit": "10"}, "wrong_type", "limit"),
    ({"room": "general", "limit": None}, "wrong_type", "limit"),
    ({"room": "general", "limit": True}, "wrong_type", "limit"),
    ({"room": "general", "limit": [1]}, "wrong_type", "limit"),
    ({"room": "general", "with": A}, None, None),
    ({}, "missing_field", None),
    ({"room": "No Such"}, "invalid_room", "room"),
    ({"room": 5}, "wrong_type", "room"),
    ({"with": "nobody"}, "invalid_email", "with"),
    ({"with": None}, "wrong_type", "with"),
    ({"room": "general", "before": "x"}, None, "before"),
    ({"room": "general", "before": OLD + "0"}, None, "before"),
    ({"room": "general", "before": 5}, "wrong_type", "before"),
    ({"room": "general", "after": ""}, None, "after"),
    ({"with": A, "after": OLD[:-1] + "U"}, None, "after"),
    ({"room": "general", "after": None}, "wrong_type", "after"),
    ({"room": "general", "message": "x"}, "unknown_field", "message"),
    ({"room": "general", "to": A}, "unknown_field", "to"),
    ({"room": "general", "extra": 1}, "unknown_field", "extra"),
], ids=repr)
def test_bad_requests(chat, more, code, field):
    alice = chat.plain_ws(A).sync()
    for request, ref in (({**REF, **more}, "r"), ({"type": "history", **more}, ABSENT)):
        alice.send(request)
        error = alice.expect(type="error", ref=ref, sender="System", message=re.compile(".+", re.S))
        assert code is None or error["code"] == code, error
        assert error["code"] in CODES and error["code"] != "unavailable", error
        assert field is None or error["field"] == field, error
    alice.expect_nothing()


CODES = {"invalid_json", "missing_field", "unknown_field", "wrong_type", "too_long", "invalid_email", "invalid_room", "invalid_id",
         "invalid_ref", "invalid_limit", "invalid_character", "address_mismatch", "not_allowed", "unavailable"}


@pytest.mark.parametrize("text, code", [
    ('{"type":"history","room":"a","room":"b","ref":"r"}', "duplicate_key"),
    ('{"type":"history","type":"history","room":"a","ref":"r"}', "duplicate_key"),
    ('{"type":"history","room":"a\\u0000","ref":"r"}', re.compile("invalid_room|invalid_character")),
    ('{"type":"history","room":"a","limit":01,"ref":"r"}', "invalid_json"),
])
def test_odd_requests(chat, text, code):
    alice = chat.plain_ws(A).sync()
    alice.send(text)
    alice.expect(type="error", code=code)
    alice.expect_nothing()


@pytest.mark.parametrize("ref", ["", "x" * 65])
def test_bad_refs(chat, ref):
    alice = chat.plain_ws(A).sync()
    alice.send({"type": "history", "room": "general", "ref": ref})
    alice.expect_error("invalid_ref", field="ref")


def test_without_ref_it_is_answered_too(chat):
    frames = say(chat, "ab")
    alice = chat.plain_ws(A).sync()
    alice.send({"type": "history", "room": "general"})
    answer = alice.expect(type="history", room="general", ref=ABSENT)
    assert answer["messages"] == frames and set(answer) == {"type", "room", "messages", "complete"}
    alice.send({"type": "history", "room": "general", "limit": 1, "ref": "\" é"})
    assert alice.expect(type="history", ref="\" é")["messages"] == frames[1:]


def test_requests_under_way(chat):
    """Four at a time; of a burst the rest is refused, each is answered once, and the session goes on."""
    say(chat, ["m%d" % n for n in range(30)])
    alice = chat.raw_ws(A)
    alice.sync()
    for _ in range(2):
        alice.send_bytes(b"".join(alice.frame(1, json.dumps({"type": "history", "room": "general", "ref": "r%d" % n}).encode())
                                  for n in range(40)))
        answers = [alice.next() for _ in range(40)]
        assert {a["ref"] for a in answers} == {"r%d" % n for n in range(40)}
        pages = [a for a in answers if a["type"] == "history"]
        refused = [a for a in answers if a["type"] == "error"]
        assert {a["code"] for a in refused} == {"rate_limited"} and len(pages) >= 4
        assert all(len(a["messages"]) == 30 for a in pages)
    # Answered ones do not count.
    for n in range(12):
        alice.send({"type": "history", "room": "general", "ref": "s%d" % n})
        alice.expect(type="history", ref="s%d" % n)


def test_pages_and_messages_side_by_side(chat):
    """A page is no message: it goes to who asked, others hear nothing of it."""
    frames = say(chat, "ab")
    alice, bob = chat.plain_ws(A).sync(), chat.plain_ws(B).sync()
    alice.send({"type": "history", "room": "general", "ref": "h"})
    assert alice.expect(type="history", ref="h")["messages"] == frames
    bob.expect_nothing()
    alice.expect_nothing()


@pytest.mark.parametrize("query, parameter", [
    ("limit=0", "limit"), ("limit=201", "limit"), ("limit=-1", "limit"), ("limit=", "limit"), ("limit=x", "limit"),
    ("limit=1e1", "limit"), ("limit=%2010", "limit"), ("limit=99999999999999999999", "limit"),
    ("before=x", "before"), ("before=", "before"), ("after=" + OLD + "0", "after"), ("after=%zz", None),
    ("limit=1&limit=2", None), ("before=%s&before=%s" % (OLD, OLD), None), ("after=%00", "after"),
])
@pytest.mark.parametrize("path", ["/rooms/general/messages", "/messages/%s_%s" % (A, B)])
def test_bad_parameters(chat, path, query, parameter):
    answer = chat.http("GET", path + "?" + query)
    assert answer.status == 400, answer
    assert answer.headers["content-type"].split(";")[0] == "application/json"
    assert set(answer.json) == {"error", "message"} and all(isinstance(v, str) and v for v in answer.json.values())
    assert parameter is None or parameter in answer.json["message"], answer.json


@pytest.mark.parametrize("room", ["No%20Such", "A", "x" * 65, "a%2Fb", "%23", "", "a%00", "%zz"])
def test_bad_rooms(chat, room):
    answer = chat.http("GET", "/rooms/%s/messages" % room)
    assert answer.status in (400, 404) and set(answer.json) == {"error", "message"}, answer


@pytest.mark.parametrize("path", ["/rooms", "/rooms/", "/rooms/general", "/rooms/general/", "/rooms/general/messages/", "/rooms/general/x",
                                  "/messages", "/rooms//messages"])
def test_paths_beside_them(chat, path):
    answer = chat.http("GET", path)
    assert answer.status in (400, 404) and isinstance(answer.json, dict)


@pytest.mark.parametrize("path", ["/rooms/general/messages", "/messages/%s_%s" % (A, B)])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_methods(chat, method, path):
    body = b"{}"
    answer = chat.http(method, path, [("Content-Length", "2")], body)
    assert answer.status == 405 and isinstance(answer.json, dict)
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize("path", ["/rooms/general/messages?limit=10", "/messages/%s_%s" % (A, B), "/rooms/general/messages?limit=0"])
def test_head(chat, path):
    say(chat, "abc")
    say(chat, ["psst"], to=B)
    get, head = chat.http("GET", path), chat.http("HEAD", path)
    assert head.status == get.status and head.body == b""
    assert head.headers["content-length"] == get.headers["content-length"] == str(len(get.body))
    assert head.headers["content-type"] == get.headers["content-type"]


@pytest.mark.parametrize("allowed, origin, answer", [
    (None, "https://a.example", "*"), ("https://a.example,https://b.example", "https://b.example", "https://b.example"),
    ("https://a.example", "https://evil.example", None), ("https://a.example", None, None),
    ("https://a.example", "https://a.example.evil.example", None), ("https://a.example", "null", None),
])
def test_pages_of_other_origins(brokers, allowed, origin, answer):
    chat = with_history(brokers, **({"allowed_origins": allowed} if allowed else {}))
    say(chat, "a")
    for path in ("/rooms/general/messages", "/messages/%s_%s" % (A, B)):
        got = chat.http("GET", path, [("Origin", origin)] if origin else [])
        assert got.status in ((200,) if answer or not origin else (200, 403))
        assert got.headers.get("access-control-allow-origin") == answer, got.headers


@pytest.mark.parametrize("path", ["/rooms/general/messages", "/messages/%s_%s" % (A, B)])
def test_history_is_off(brokers, path):
    chat = with_history(brokers, history=False)
    answer = chat.http("GET", path)
    assert answer.status == 404 and set(answer.json) == {"error", "message"}
    alice = chat.plain_ws(A).sync()
    alice.send({**REF, "room": "general"})
    alice.expect_error("unavailable", ref="r")


def test_a_crowd_of_pages(chat):
    """Connections one after another and at once; each gets its whole answer."""
    frames = say(chat, ["%d %s" % (n, "x" * 3000) for n in range(50)])
    [pid] = chat.bridge_pids()
    for _ in range(50):
        answer = chat.http("GET", "/rooms/general/messages")
        assert isinstance(answer, HttpAnswer) and len(answer.json["messages"]) == 50
    assert split(answer.body, answer.json["messages"]) == raws(frames)
    assert chat.bridge_pids() == [pid]
