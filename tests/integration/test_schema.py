"""Every refusal of the schema by name and field, however the message comes."""

import json

import pytest

from harness.dialogue import ABSENT

A = "alice@example.com"


def obj(**fields):
    return json.dumps(fields).encode()


# name: (payload, error code, field, ref that the error carries)
# REF in a payload is replaced by a fresh ref for each author, and "R" says that the error carries it.
CASES = {
    # not JSON at all
    "empty": (b"", "invalid_json", None, None),
    "white space only": (b" \n", "invalid_json", None, None),
    "words": (b"hello", "invalid_json", None, None),
    "half an object": (b'{"message":"x"', "invalid_json", None, None),
    "half a string": (b'{"message":"x', "invalid_json", None, None),
    "single quotes": (b"{'message':'x'}", "invalid_json", None, None),
    "unquoted key": (b'{message:"x"}', "invalid_json", None, None),
    "trailing comma": (b'{"message":"x",}', "invalid_json", None, None),
    "leading comma": (b'{,"message":"x"}', "invalid_json", None, None),
    "comment": (b'{"message":"x"/*c*/}', "invalid_json", None, None),
    "bytes after": (b'{"message":"x"}x', "invalid_json", None, None),
    "second object": (b'{"message":"x"}{"message":"y"}', "invalid_json", None, None),
    "NUL after": (b'{"message":"x"}\0', "invalid_json", None, None),
    "BOM": (b'\xef\xbb\xbf{"message":"x"}', "invalid_json", None, None),
    "UTF-16": ('{"message":"x"}'.encode("utf-16-be"), "invalid_json", None, None),
    "raw newline": (b'{"message":"a\nb"}', "invalid_json", None, None),
    "raw NUL": (b'{"message":"a\0b"}', "invalid_json", None, None),
    "form feed as space": (b'{\f"message":"x"}', "invalid_json", None, None),
    "bad escape": (b'{"message":"\\x41"}', "invalid_json", None, None),
    "short escape": (b'{"message":"\\u00e"}', "invalid_json", None, None),
    "bad number": (b'{"message":"x","timestamp":01}', "invalid_json", None, None),
    "NaN": (b'{"message":NaN}', "invalid_json", None, None),
    "True": (b'{"message":True}', "invalid_json", None, None),
    "deep": (b'{"message":' + b"[" * 3000 + b"]" * 3000 + b"}", "invalid_json", None, None),
    # JSON, but no object
    "array": (b'["message"]', "not_an_object", None, None),
    "string": (b'"message"', "not_an_object", None, None),
    "number": (b"5", "not_an_object", None, None),
    "null": (b"null", "not_an_object", None, None),
    "array of object": (b'[{"message":"x"}]', "not_an_object", None, None),
    # UTF-8 (over WebSocket ill-formed bytes end the session, test_frames.py)
    "lone surrogate": (b'{"message":"\\ud800"}', "invalid_utf8", None, None),
    "low surrogate": (b'{"message":"\\udc00x"}', "invalid_utf8", None, None),
    "surrogates the wrong way round": (b'{"message":"\\udc00\\ud800"}', "invalid_utf8", None, None),
    "surrogate in a key": (b'{"message":"x","\\ud83d":"y"}', "invalid_utf8", None, None),
    "latin-1": (b'{"message":"\xe9"}', "invalid_utf8", None, None),
    "overlong": (b'{"message":"\xc0\xaf"}', "invalid_utf8", None, None),
    "raw surrogate": (b'{"message":"\xed\xa0\x80"}', "invalid_utf8", None, None),
    "beyond Unicode": (b'{"message":"\xf4\x90\x80\x80"}', "invalid_utf8", None, None),
    "cut character": (b'{"message":"\xf0\x9f\x98"}', "invalid_utf8", None, None),
    # keys
    "duplicate": (b'{"message":"x","message":"x","ref":"REF"}', "duplicate_key", "message", "R"),
    "duplicate by escape": (b'{"message":"x","messag\\u0065":"y"}', "duplicate_key", "message", None),
    "unknown": (b'{"message":"x","colour":"red","ref":"REF"}', "unknown_field", "colour", "R"),
    "unknown with any value": (b'{"message":"x","a":{"b":[1,2,{"c":null}]}}', "unknown_field", "a", None),
    "case matters": (b'{"Message":"x"}', "unknown_field", "Message", None),
    "server's own field": (b'{"message":"x","id":"01ARZ3NDEKTSV4RRFFQ69G5FAV"}', "unknown_field", "id", None),
    "sender": (b'{"message":"x","sender":"bob@example.com"}', "unknown_field", "sender", None),
    "empty key": (b'{"message":"x","":"y"}', "unknown_field", "-", None),
    "prototype": (b'{"message":"x","__proto__":{}}', "unknown_field", "__proto__", None),
    # types
    "message number": (b'{"message":5,"ref":"REF"}', "wrong_type", "message", "R"),
    "message null": (b'{"message":null}', "wrong_type", "message", None),
    "message true": (b'{"message":true}', "wrong_type", "message", None),
    "message array": (b'{"message":["x"]}', "wrong_type", "message", None),
    "message object": (b'{"message":{"message":"x"}}', "wrong_type", "message", None),
    "to null": (b'{"message":"x","to":null}', "wrong_type", "to", None),
    "room number": (b'{"message":"x","room":1}', "wrong_type", "room", None),
    "from array": (b'{"message":"x","from":[]}', "wrong_type", "from", None),
    "timestamp number": (b'{"message":"x","timestamp":1700000000}', "wrong_type", "timestamp", None),
    "ref number": (b'{"message":"x","ref":1}', "wrong_type", "ref", None),
    "type null": (b'{"message":"x","type":null}', "wrong_type", "type", None),
    "several types": (b'{"type":1,"ref":2,"from":3,"message":"x"}', "wrong_type", "from", None),
    # type, ref
    "unknown type": (b'{"type":"shout","message":"x","ref":"REF"}', "unknown_type", "type", "R"),
    "type in capitals": (b'{"type":"Message","message":"x"}', "unknown_type", "type", None),
    "type ack": (b'{"type":"ack","ref":"REF"}', "unknown_type", "type", "R"),
    "empty ref": (b'{"message":"x","ref":""}', "invalid_ref", "ref", None),
    "long ref": (obj(message="x", ref="r" * 65), "invalid_ref", "ref", None),
    "long ref in bytes": (obj(message="x", ref="é" * 33), "invalid_ref", "ref", None),
    "NUL in ref": (b'{"message":"x","ref":"a\\u0000b"}', "invalid_ref", "ref", None),
    # characters
    "NUL in message": (b'{"message":"a\\u0000b","ref":"REF"}', "invalid_character", "message", "R"),
    "only NUL": (b'{"message":"\\u0000"}', "invalid_character", "message", None),
    "NUL in from": (b'{"message":"x","from":"alice@example.com\\u0000"}', "invalid_character", "from", None),
    # addresses
    "bad from": (b'{"message":"x","from":"alice"}', "invalid_email", "from", None),
    "spoofed from": (b'{"message":"x","from":"bob@example.com","ref":"REF"}', "sender_mismatch", "from", "R"),
    "from in another case": (b'{"message":"x","from":"Alice@example.com"}', "sender_mismatch", "from", None),
    "bad to": (b'{"message":"x","to":"bob"}', "invalid_email", "to", None),
    "empty to": (b'{"message":"x","to":""}', "invalid_email", "to", None),
    "topic as to": (b'{"message":"x","to":"bob@example.com/inbox"}', "invalid_email", "to", None),
    "wildcard as to": (b'{"message":"x","to":"#"}', "invalid_email", "to", None),
    "bad room": (b'{"message":"x","room":"No Such"}', "invalid_room", "room", None),
    "empty room": (b'{"message":"x","room":""}', "invalid_room", "room", None),
    "topic as room": (b'{"message":"x","room":"a/b"}', "invalid_room", "room", None),
    "wildcard as room": (b'{"message":"x","room":"+"}', "invalid_room", "room", None),
    "long room": (obj(message="x", room="r" * 65), "invalid_room", "room", None),
    "room and to": (b'{"message":"x","to":"bob@example.com","room":"general","ref":"REF"}', "address_mismatch", "?", "R"),
    # timestamps
    "bad timestamp": (b'{"message":"x","timestamp":"yesterday"}', "invalid_timestamp", "timestamp", None),
    "no zone": (b'{"message":"x","timestamp":"2026-11-22T14:07:31"}', "invalid_timestamp", "timestamp", None),
    "date only": (b'{"message":"x","timestamp":"2026-11-22"}', "invalid_timestamp", "timestamp", None),
    "30 February": (b'{"message":"x","timestamp":"2026-02-30T00:00:00Z"}', "invalid_timestamp", "timestamp", None),
    "hour 24": (b'{"message":"x","timestamp":"2026-02-20T24:00:00Z"}', "invalid_timestamp", "timestamp", None),
    "empty timestamp": (b'{"message":"x","timestamp":""}', "invalid_timestamp", "timestamp", None),
    # the text
    "no message": (b'{"ref":"REF"}', "missing_field", "message", "R"),
    "empty object": (b"{}", "missing_field", "message", None),
    "empty message": (b'{"message":"","ref":"REF"}', "empty_message", "message", "R"),
    "blank": (b'{"message":" \\t\\n\\r"}', "empty_message", "message", None),
    "Unicode blank": (obj(message="\u00a0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000\u0085"),
                      "empty_message", "message", None),
    "4001 characters": (obj(message="x" * 4001), "too_long", "message", None),
    "4001 emoji": (json.dumps({"message": "😀" * 4001}, ensure_ascii=False).encode(), "too_long", "message", None),
    "4001 blanks": (obj(message=" " * 4001), "empty_message", "message", None),
    # which of several errors is named
    "unknown before type": (b'{"message":5,"colour":1}', "unknown_field", "colour", None),
    "duplicate before unknown": (b'{"colour":1,"message":"x","message":"y"}', "duplicate_key", "message", None),
    "type before text": (b'{"type":"shout","message":""}', "unknown_type", "type", None),
    "address before text": (b'{"message":"","to":"bob"}', "invalid_email", "to", None),
    "timestamp before sender": (b'{"message":"x","from":"bob@example.com","timestamp":"x"}',
                                "invalid_timestamp", "timestamp", None),
}

# Ill-formed bytes in a text frame are a fault of WebSocket itself.
NOT_OVER_WEBSOCKET = {"latin-1", "overlong", "raw surrogate", "beyond Unicode", "cut character"}


def check(author, case, send, refs):
    payload, code, field, ref = CASES[case]
    name = "r%d" % len(refs)
    refs.append(name)
    payload = payload.replace(b"REF", name.encode())
    send(payload)
    frame = author.expect(type="error", code=code, ref=name if ref else ABSENT)
    if field not in ("-", "?"):
        assert frame.get("field") == field, frame
    if field == "-":
        assert "field" not in frame, frame
    assert set(frame) <= {"type", "code", "message", "sender", "field", "ref"}
    assert frame["sender"] == "System" and frame["message"]


@pytest.mark.parametrize("case", CASES)
def test_refused_over_mqtt(broker, case):
    readers = [broker.mqtt("reader@example.com", 5), broker.mqtt(None, 4), broker.mqtt("bob@example.com").read_inbox()]
    for reader in readers[:2]:
        reader.subscribe("#")
    refs = []
    for version in (4, 5):
        alice = broker.mqtt(A, version).read_notices()
        for qos in (0, 1, 2):
            answers = []
            check(alice, case, lambda payload: answers.append(alice.send(payload, qos=qos)), refs)
            assert answers == [None if qos == 0 else 0 if version == 4 else 0x87]
        # The connection lives, and the author may go on.
        alice.expect_nothing()
        assert alice.send({"message": "fine"}) == 0
    for reader in readers[:2]:
        reader.expect_message("fine", A, room="general")
        reader.expect_message("fine", A, room="general")
    for reader in readers:
        reader.expect_nothing()


@pytest.mark.parametrize("case", [case for case in CASES if case not in NOT_OVER_WEBSOCKET])
def test_refused_over_websocket(chat, case):
    alice, bob = chat.ws(A), chat.ws("bob@example.com")
    reader = chat.mqtt(None)
    reader.subscribe("#")
    refs = []
    check(alice, case, lambda payload: alice.send(payload.decode()), refs)
    alice.expect_nothing()
    bob.expect_nothing()
    reader.expect_nothing()
    alice.send({"message": "fine"})
    bob.expect_message("fine", A, room="general")
    reader.expect_message("fine", A, room="general")


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("size, field", [(262144, "message"), (262145, None), (1000000, None)])
def test_too_long_a_payload(broker, version, qos, size, field):
    alice = broker.mqtt(A, version).read_notices()
    bob = broker.mqtt("bob@example.com").read_room()
    payload = b'{"message":"' + b"x" * (size - 14) + b'"}'
    assert len(payload) == size
    alice.send(payload, qos=qos)
    frame = alice.expect(type="error", code="too_long")
    assert frame.get("field") == field
    bob.expect_nothing()
    alice.alive()


def test_errors_without_anybody_listening(broker):
    """An author that does not read its notices is told by 0x87 alone, and nothing piles up."""
    alice = broker.mqtt(A)
    for _ in range(50):
        assert alice.send(b"nonsense") == 0x87
    alice.read_notices()
    alice.expect_nothing()


def test_the_field_in_an_error_is_never_the_peers_noise(broker):
    alice = broker.mqtt(A).read_notices()
    for key in ("x" * 65, "é", "\n", "\x7f", "\u0000"):
        alice.send({"message": "x", key: "y"})
        alice.expect(type="error", code="unknown_field", field=ABSENT)
    for key in ("x" * 64, "a b", "\"\\", "<script>"):
        alice.send({"message": "x", key: "y"})
        alice.expect(type="error", code="unknown_field", field=key)


@pytest.mark.parametrize("version, qos", [(version, qos) for version in (4, 5) for qos in (0, 1, 2)])
@pytest.mark.parametrize("payload, code, field", [
    ({"message": "x", "room": "general"}, "address_mismatch", None),
    ({"message": "x", "to": "carol@example.com"}, "address_mismatch", None),
    ({"message": "x", "to": "Bob@example.com"}, "address_mismatch", None),
    ({"message": "x", "room": "general", "to": "bob@example.com"}, "address_mismatch", None),
    ({"message": ""}, "empty_message", "message"),
])
def test_refused_to_a_person(broker, payload, code, field, version, qos):
    alice = broker.mqtt(A, version).read_notices().read_inbox()
    bob = broker.mqtt("bob@example.com").read_inbox().read_room()
    carol = broker.mqtt("carol@example.com").read_inbox()
    answer = alice.send({**payload, "ref": "r"}, to="bob@example.com", qos=qos)
    assert answer == (None if qos == 0 else 0 if version == 4 else 0x87)
    frame = alice.expect(type="error", code=code, ref="r")
    assert field is None or frame["field"] == field
    for client in (alice, bob, carol):
        client.expect_nothing()


@pytest.mark.parametrize("payload", [
    {"message": "x", "to": "bob@example.com"},
    {"message": "x", "room": "other"},
])
def test_refused_to_a_room(broker, payload):
    alice = broker.mqtt(A).read_notices()
    bob = broker.mqtt("bob@example.com").read_inbox().read_room().read_room("other")
    assert alice.send({**payload, "ref": "r"}) == 0x87
    alice.expect(type="error", code="address_mismatch", ref="r")
    bob.expect_nothing()


@pytest.mark.parametrize("timestamp", [
    "2026-11-22T14:07:31Z", "2026-11-22t14:07:31z", "2026-11-22T14:07:31.482Z", "2024-02-29T00:00:00.123456789-23:59",
    "1985-04-12T23:20:50.52+00:00", "1990-12-31T23:59:60Z", "1990-12-31T15:59:60-08:00", "0001-01-01T00:00:00-00:00",
])
def test_timestamps_that_are_fine(broker, timestamp):
    alice = broker.mqtt(A)
    bob = broker.mqtt("bob@example.com").read_room()
    assert alice.send({"message": "hi", "timestamp": timestamp}) == 0
    assert bob.expect_message("hi", A)["timestamp"] != timestamp


@pytest.mark.parametrize("timestamp", [
    "2023-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-32T00:00:00Z",
    "2026-01-01T00:60:00Z", "2026-01-01T00:00:61Z", "2026-01-01T12:00:60Z", "2026-01-01 00:00:00Z ",
    "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+00:60", "2026-01-01T00:00:00.Z", "26-01-01T00:00:00Z",
    "2026-01-01T00:00:00+0000", "2026-1-1T00:00:00Z", "2026-01-01T00:00:00ZZ", "+2026-01-01T00:00:00Z",
])
def test_timestamps_that_are_not(broker, timestamp):
    alice = broker.mqtt(A).read_notices()
    assert alice.send({"message": "hi", "timestamp": timestamp}) == 0x87
    alice.expect_error("invalid_timestamp", field="timestamp")
