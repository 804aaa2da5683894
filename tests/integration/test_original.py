"""The original service's contract, as config/distribuida.conf keeps it: what was observed of it, replayed."""

import json
import os
import re

import pytest

from harness.broker import INSTRUMENTED, REPO
from harness.dialogue import TIMESTAMP, Closed, wait_for
from harness.transcript import ORIGINAL_FIELDS, Replay, check_page_fields

CONFIG = os.path.join(REPO, "config", "distribuida.conf")
TRANSCRIPTS = os.path.join(os.path.dirname(__file__), "transcripts")
A, B, C = "ana@example.com", "beto@example.com", "carla@example.com"


def distribuida(brokers, lines=(), **changed):
    """A broker with the options of config/distribuida.conf, on ports and in a folder of its own."""
    with open(CONFIG, encoding="utf-8") as f:
        options = dict(re.findall(r"(?m)^plugin_opt_(\w+) (.*)$", f.read()))
    for place in ("port", "broker_socket", "history_file"):
        options.pop(place)
    chat = brokers(start=False, lines=lines, options={**options, **changed})
    chat.options["history_file"] = os.path.join(chat.folder, "chat.db")
    return chat.start()


@pytest.fixture
def chat(brokers):
    return distribuida(brokers)


def errors():
    """code -> (English, Spanish), from the table of both programs."""
    with open(os.path.join(REPO, "common", "errors.h"), encoding="utf-8") as f:
        rows = re.findall(r'X\(\w+, "(\w+)",\s*"([^"]*)",\s*\\?\s*"([^"]*)"\)', f.read())
    assert len(rows) == 24, rows
    return {code: (english, spanish) for code, english, spanish in rows}


@pytest.mark.parametrize("name", sorted(os.listdir(TRANSCRIPTS)))
def test_transcript(chat, name):
    Replay(chat).run(os.path.join(TRANSCRIPTS, name))


@pytest.mark.skipif(INSTRUMENTED, reason="about the harness alone, and it waits for what does not come, longer there")
def test_a_transcript_can_fail(chat, tmp_path):
    for last in ('ana < {"sender":"Sistema","message":"otra cosa"}', "ana < nothing",
                 'ana < {"sender":"Sistema","message":"no es JSON válido","code":"-"}'):
        path = tmp_path / "wrong.txt"
        path.write_text("ana = ana@example.com\nana connects\nana > hola\n%s\n" % last, encoding="utf-8")
        with pytest.raises(AssertionError, match="wrong.txt, line 4"):
            Replay(chat).run(str(path))
    for text in ('GET /messages/ana@example.com_beto@example.com\n| {"message":"x"}\n', "GET /messages/x\n", "ana sings\n"):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(AssertionError, match="wrong.txt, line"):
            Replay(chat).run(str(path))


def test_the_configuration_says_what_the_original_did():
    with open(CONFIG, encoding="utf-8") as f:
        lines = f.read().splitlines()
    for line in ("plugin_opt_port 8000", "plugin_opt_bind_address 0.0.0.0", "plugin_opt_sessions latest", "plugin_opt_notices es",
                 "plugin_opt_unknown_fields drop", "plugin_opt_allowed_origins *"):
        assert lines.count(line) == 1, line
    # as scripts/run needs it
    for start in ("listener 0 ", "plugin ", "plugin_opt_broker_socket ", "plugin_opt_history_file ", "persistence_location "):
        assert len([line for line in lines if line.startswith(start)]) == 1, start


PROVOKED = [
    ("invalid_json", "hola"), ("invalid_json", '{"message":"hola"} x'), ("not_an_object", "[]"),
    ("missing_field", "{}"), ("missing_field", '{"to":"%s"}' % B), ("wrong_type", '{"message":1}'),
    ("wrong_type", '{"to":["%s"],"message":"x"}' % B), ("too_long", json.dumps({"message": "x" * 4001})),
    ("empty_message", '{"message":""}'), ("invalid_email", '{"to":"nadie","message":"x"}'),
    ("invalid_email", '{"from":"","message":"x"}'), ("invalid_room", '{"room":"NO","message":"x"}'),
    ("invalid_timestamp", '{"message":"x","timestamp":"hoy"}'), ("invalid_ref", '{"message":"x","ref":""}'),
    ("invalid_character", '{"message":"a\\u0000b"}'), ("address_mismatch", '{"to":"%s","room":"general","message":"x"}' % B),
    ("sender_mismatch", '{"from":"%s","message":"x"}' % B), ("duplicate_key", '{"message":"x","message":"y"}'),
    ("unknown_type", '{"type":"baile","message":"x"}'), ("unavailable", '{"type":"token","token":"x"}'),
    ("unknown_field", '{"type":"join","room":"general","color":"rojo"}'),
]


def test_every_error_is_shown_in_spanish(chat):
    ana, texts = chat.plain_ws(A).sync(), errors()
    for code, frame in PROVOKED:
        ana.send(frame)
        got = ana.expect(type="error", code=code, sender="Sistema")
        check_page_fields(got)
        english, spanish = texts[code]
        assert got["message"] == spanish != english, got
    for n in range(40):
        ana.send({"type": "join", "room": "sala-%d" % n})
    got = ana.expect_error("not_allowed", field="room", sender="Sistema")
    check_page_fields(got)
    assert got["message"] == texts["not_allowed"][1]


def test_a_flood_is_told_in_spanish(brokers):
    chat = distribuida(brokers, rate_messages="1/s burst 2")
    ana = chat.plain_ws(A)
    for n in range(8):
        ana.send({"from": A, "to": B, "message": "m%d" % n})
    while (got := ana.next()).get("code") != "rate_limited":
        check_page_fields(got)
    check_page_fields(got)
    assert got["message"] == errors()["rate_limited"][1] and got["sender"] == "Sistema"


def test_every_close_is_said_with_a_reason(chat):
    """The page reads none of them; who looks for the cause does."""
    for path in ("/ws/pepe", "/ws/", "/ws/ana@example.com?room=NO"):
        end = chat.plain_ws(A, path=path).next()
        assert isinstance(end, Closed) and end.code == 4100 and end.reason, end


def test_nothing_but_sender_and_message_is_needed(chat):
    """A plain session is told neither who comes and goes nor who types, and no ack without a ref."""
    ana, beto = chat.plain_ws(A).sync(), chat.ws(B, events="presence,typing")
    beto.send({"type": "typing"})
    beto.send({"type": "typing", "to": A})
    other = chat.plain_ws(C).sync()
    other.close()
    ana.send({"message": "hola"})
    ana.expect_nothing()


# history

def asked(chat, pair, method="GET", headers=()):
    return chat.http(method, "/messages/" + pair, [("Origin", "http://front.example:3000"), *headers])


def test_another_origin_may_ask(chat):
    """fetch() from a page on another host, plain and (as the original allowed) with a preflight."""
    answer = asked(chat, "%s_%s" % (A, B))
    assert (answer.status, answer.body) == (200, b"[]")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["content-type"].split(";")[0] == "application/json"
    answer = asked(chat, "%s_%s" % (A, B), "OPTIONS", [("Access-Control-Request-Method", "GET"),
                                                      ("Access-Control-Request-Headers", "authorization")])
    assert answer.status == 204 and answer.headers["access-control-allow-origin"] == "*"
    assert "GET" in answer.headers["access-control-allow-methods"]
    assert "authorization" in answer.headers["access-control-allow-headers"].lower()


def test_a_conversation_in_the_shape_and_order_of_the_original(chat):
    ana, beto = chat.plain_ws(A).sync(), chat.plain_ws(B).sync()
    for n in range(60):
        author, to, reader = (ana, B, beto) if n % 3 else (beto, A, ana)
        author.send({"from": author.address, "to": to, "message": "línea %d" % n, "timestamp": "2026-06-01T10:00:00.000Z"})
        check_page_fields(reader.expect(message="línea %d" % n, sender=author.address))

    def there():
        return len(asked(chat, "%s_%s" % (A, B)).json) == 60
    wait_for(there, "all of it in history, without a limit in the question")
    rows = asked(chat, "%s_%s" % (A, B)).json
    assert [row["message"] for row in rows] == ["línea %d" % n for n in range(60)]
    for row in rows:
        assert list(row) == ORIGINAL_FIELDS and row["chat_id"] == "%s_%s" % (A, B)
        assert {row["sender_id"], row["receiver_id"]} == {A, B} and TIMESTAMP.fullmatch(row["timestamp"])
    assert [row["timestamp"] for row in rows] == sorted(row["timestamp"] for row in rows)
