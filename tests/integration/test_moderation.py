"""Moderators: who is one, what they are answered, who is sent away and kept out."""

import os
import re

import pytest

from harness.dialogue import ABSENT, TIMESTAMP, Closed, wait_for
from harness.moderation import CONTROL, RESPONSE, Moderator, SessionModerator, moderated, with_passwords
from harness.tokens import A, B, C, member, session

REFUSED = 0x87


@pytest.fixture
def chat(brokers):
    return moderated(brokers)


def file_of(chat):
    return os.path.join(chat.folder, "chat-moderation.jsonl")


# --- who is a moderator ---

def test_a_listed_address_is_one_by_mqtt_and_by_session(chat):
    for boss in (Moderator(chat), SessionModerator(chat)):
        sessions = boss.ok("listSessions", user=A)["sessions"]
        assert {one["user"] for one in sessions} == {A}, sessions


def test_others_get_no_answer_and_do_nothing(chat):
    bob, carol = member(chat, B), session(chat, C)
    for topic in (CONTROL, CONTROL + "/", CONTROL + "/response", "$CONTROL/chat", "$CONTROL/chat/v2", "$CONTROL/chat/v1/x"):
        assert bob.publish(topic, {"commands": [{"command": "kick", "user": C}]}) == REFUSED, topic
        assert bob.subscribe(topic) == REFUSED, topic
    for filter in ("$CONTROL/chat/#", "$CONTROL/chat/+/response", "$share/g/$CONTROL/chat/#", "$share/g/" + RESPONSE):
        assert bob.subscribe(filter) == REFUSED, filter
    old = member(chat, B, version=4)
    old.publish(CONTROL, {"commands": [{"command": "kick", "user": C}]})
    assert old.alive() and old.subscribe(RESPONSE) == 0x80
    carol.send({"type": "command", "commands": [{"command": "kick", "user": B}], "ref": "1"})
    carol.expect_error("not_allowed", ref="1")
    for one in (bob, old):
        assert one.alive()
        one.expect_nothing()
    carol.expect_nothing()
    counted = chat.counters("chat")
    assert counted["commands_refused not_a_moderator"] == 8, counted
    assert "commands ok" not in counted and "commands failed" not in counted, counted


def test_only_who_asks_is_answered(chat):
    """Another moderator with the same subscription, and one with a wildcard, hear nothing."""
    other = Moderator(chat)
    wild = member(chat, A)
    assert wild.subscribe("$CONTROL/chat/#") < 0x80
    boss = Moderator(chat)
    boss.ok("listBans")
    other.client.expect_nothing()
    wild.expect_nothing()


def test_a_moderator_reads_no_commands(chat):
    boss = Moderator(chat)
    assert boss.client.subscribe(CONTROL) == REFUSED
    assert boss.client.publish(RESPONSE, {"commands": []}) == REFUSED


def test_a_role_from_a_token(brokers):
    chat = moderated(brokers, moderators=None, token_role_claim="roles")
    for roles in (["user", "moderator"], "moderator"):
        boss = Moderator(chat, client=chat.mqtt(B, password=chat.issuer.token(B, roles=roles)))
        boss.ok("listBans")
    for roles in (None, [], ["moderators"], "Moderator", 1, {"moderator": True}, [["moderator"]]):
        nobody = chat.mqtt(C, password=chat.issuer.token(C, roles=roles))
        assert nobody.publish(CONTROL, {"commands": []}) == REFUSED, roles
    # a role stands in a token, so it goes with it and comes with the next one
    carol = session(chat, C)
    ask = {"type": "command", "commands": [{"command": "listBans"}]}
    carol.send(dict(ask, ref="1"))
    carol.expect_error("not_allowed", ref="1")
    carol.send({"type": "token", "token": chat.issuer.token(C, roles=["moderator"]), "ref": "2"})
    carol.expect(type="ack", ref="2")
    carol.send(dict(ask, ref="3"))
    carol.expect(type="response", ref="3")
    carol.send({"type": "token", "token": chat.issuer.token(C), "ref": "4"})
    carol.expect(type="ack", ref="4")
    carol.send(dict(ask, ref="5"))
    carol.expect_error("not_allowed", ref="5")


def test_the_list_changes_at_a_reload(brokers):
    chat = moderated(brokers, moderators=None, start=False)
    config = chat.file("chat.conf", "moderators none\n")
    chat.options["chat_config"] = config
    chat.start()
    alice = member(chat, A)
    assert alice.publish(CONTROL, {"commands": []}) == REFUSED
    for moderators, code in (("bob@example.com, alice@EXAMPLE.com", 0), ("bob@example.com", REFUSED)):
        at = len(chat.log())
        chat.file("chat.conf", "moderators %s\n" % moderators)
        chat.hup()
        chat.wait_log("has been read again", since=at)
        assert alice.publish(CONTROL, {"commands": []}) == code


def test_an_open_broker_can_have_none(brokers):
    log = brokers(start=False, options={"moderators": A}).start_refused()
    assert "nobody proves an address to this broker" in log


def test_without_authentication_only_who_has_shown_a_password_is_one(brokers):
    """auth none beside a password_file: MQTT clients have proved who they are, sessions have not."""
    chat = with_passwords(brokers)
    boss = Moderator(chat, client=chat.mqtt(A, password="secret"))
    boss.ok("listBans")
    alice = chat.ws(A)
    alice.send({"type": "command", "commands": [{"command": "listBans"}], "ref": "1"})
    alice.expect_error("not_allowed", ref="1")
    # and commands from one who has done nothing before
    assert chat.mqtt(A, password="secret").publish(CONTROL, {"commands": []}) == 0


# --- what is answered ---

def test_responses_keep_order_names_and_correlation(chat):
    boss = Moderator(chat)
    responses = boss.send({"command": "unban", "user": B, "correlationData": "\u00e9\"\\\n"}, {"command": "listBans"},
                          {"command": "dance", "correlationData": ""}, {"command": "kick", "user": "bob"}, 7, "kick", {})
    assert responses == [
        {"command": "unban", "error": "not_found", "correlationData": "\u00e9\"\\\n"},
        {"command": "listBans", "data": {"bans": [], "totalCount": 0}},
        {"command": "dance", "error": "unknown_command", "field": "command", "correlationData": ""},
        {"command": "kick", "error": "invalid_email", "field": "user"},
        {"error": "invalid_command"},
        {"error": "invalid_command"},
        {"error": "missing_field", "field": "command"},
    ]
    assert boss.send() == []


MALFORMED = [
    (b"", "invalid_json"), (b"{", "invalid_json"), (b"[]", "not_an_object"), (b'{"commands":["\xff"]}', "invalid_utf8"),
    (b'{"commands":[{"command":"kick"]}', "invalid_json"), (b"{}", "missing_field"), (b'{"commands":{}}', "wrong_type"),
    (b'{"commands":[],"commands":[]}', "duplicate_key"), (b'{"commands":[],"x":1}', "unknown_field"),
    (b'{"commands":[],"type":"command"}', "unknown_field"), (b'{"commands":' + b"[" * 100 + b"]" * 100 + b"}", "invalid_json"),
    (b'{"commands":[]}' + b" " * 65536, "too_long"),
]


@pytest.mark.parametrize("payload, error", MALFORMED, ids=[str(n) for n in range(len(MALFORMED))])
def test_what_is_no_list_of_commands(chat, payload, error):
    boss = Moderator(chat)
    assert boss.raw(payload) == [{"error": error}]


def test_what_a_command_may_hold(chat):
    boss = Moderator(chat)
    for members, error, field in [
        ({}, "missing_field", "user"),
        ({"user": 1}, "wrong_type", "user"),
        ({"user": B, "room": "general"}, "unknown_field", "room"),
        ({"user": B, "x": "general"}, "unknown_field", None),
        ({"user": B, "seconds": 0}, "out_of_range", "seconds"),
        ({"user": B, "seconds": -1}, "out_of_range", "seconds"),
        ({"user": B, "seconds": 1.5}, "out_of_range", "seconds"),
        ({"user": B, "seconds": 10 ** 30}, "out_of_range", "seconds"),
        ({"user": B, "seconds": "60"}, "wrong_type", "seconds"),
        ({"user": B, "reason": "x" * 101}, "too_long", "reason"),
        ({"user": B, "reason": "a\nb"}, "invalid_character", "reason"),
        ({"user": B, "reason": "a\u0000b"}, "invalid_character", "reason"),
        ({"user": B, "reason": ["x"]}, "wrong_type", "reason"),
    ]:
        boss.refused("ban", error, field, **members)
    assert boss.send({"command": "ban", "user": B, "correlationData": 1}) == [{"error": "wrong_type", "field": "correlationData"}]
    long = {"command": "ban", "user": B, "correlationData": "x" * 257}
    assert boss.send(long) == [{"error": "too_long", "field": "correlationData"}]
    assert boss.raw(b'{"commands":[{"command":"ban","user":"%s","user":"%s"}]}' % (B.encode(), B.encode())) == \
        [{"error": "invalid_command"}]
    assert boss.ok("listBans")["totalCount"] == 0


def test_commands_have_a_rate(brokers):
    chat = moderated(brokers, moderators=A + "," + C)
    boss, other = Moderator(chat), Moderator(chat, C)
    responses = boss.send(*[{"command": "listBans"}] * 33)
    assert [one.get("error") for one in responses] == [None] * 32 + ["too_many_commands"], responses
    responses = boss.send(*[{"command": "listBans"}] * 32)
    errors = [one.get("error") for one in responses]
    assert errors.count("rate_limited") > 5 and errors[0] is None, errors
    # each moderator has a rate of its own; and it comes back
    other.ok("listBans")
    wait_for(lambda: "error" not in boss.send({"command": "listBans"})[0], "a command is taken again")


def test_a_session_asks_with_a_ref_or_without(chat):
    alice = session(chat, A)
    alice.send({"type": "command", "commands": [{"command": "listBans"}]})
    alice.expect(type="response", ref=ABSENT, responses=[{"command": "listBans", "data": {"bans": [], "totalCount": 0}}])
    alice.send({"type": "command", "ref": "1"})
    alice.expect(type="response", ref="1", responses=[{"error": "missing_field"}])
    alice.send({"type": "command", "commands": [], "room": "general", "ref": "2"})
    alice.expect(type="response", ref="2", responses=[{"error": "unknown_field"}])
    # what is not read as a command is a message like any other
    alice.send({"type": "commands", "commands": [], "ref": "3"})
    alice.expect_error("unknown_field", field="commands", ref="3")


# --- who is here ---

def test_sessions_are_listed_in_pages(chat):
    boss = Moderator(chat)
    for n in range(3):
        session(chat, B)
    member(chat, C)
    data = boss.ok("listSessions")
    assert data["totalCount"] == 5, data
    assert [(one["user"], one["kind"]) for one in data["sessions"]] == \
        [(A, "mqtt")] + [(B, "websocket")] * 3 + [(C, "mqtt")], data
    assert all(set(one) == {"user", "kind", "since"} and TIMESTAMP.fullmatch(one["since"]) for one in data["sessions"])
    data = boss.ok("listSessions", count=2, offset=3)
    assert [one["user"] for one in data["sessions"]] == [B, C] and data["totalCount"] == 5, data
    assert boss.ok("listSessions", offset=5) == {"sessions": [], "totalCount": 5}
    assert boss.ok("listSessions", user=B, count=1)["totalCount"] == 3
    boss.refused("listSessions", "out_of_range", field="count", count=101)


# --- kick ---

def test_a_kick_ends_all_sessions_and_clients_of_one(chat):
    boss = Moderator(chat)
    others = [session(chat, C), member(chat, C), session(chat, A)]
    going = [session(chat, B), session(chat, B, device="phone"), chat.plain_ws(B, token=chat.issuer.token(B))]
    going[2].sync()
    mqtt = [member(chat, B), member(chat, B, version=4), chat.tunnel(B, password=chat.issuer.token(B))]
    assert boss.ok("kick", user=B, reason="enough \u00e9") == {"sessions": 6}
    for one in going:
        end = one.expect_close(4102)
        assert end.reason == "kicked: enough \u00e9", end
    for one in mqtt:
        end = one.next()
        assert isinstance(end, Closed) and end.code in (0x98, None), end
    for one in others:
        one.expect_nothing()
    # and may come back
    session(chat, B)
    assert boss.ok("kick", user=B)["sessions"] == 1
    assert boss.ok("kick", user="nobody@example.com") == {"sessions": 0}
    assert boss.client.alive()


def test_a_moderator_may_leave_by_a_kick_and_is_answered(chat):
    boss = Moderator(chat)
    assert boss.ok("kick", user=A) == {"sessions": 1}
    assert isinstance(boss.client.next(), Closed)
    alice = SessionModerator(chat)
    assert alice.ok("kick", user=A) == {"sessions": 1}
    assert alice.client.expect_close(4102).reason == "kicked"


def test_kick_reaches_clients_that_the_plugin_has_not_seen(brokers):
    """mosquitto 2.0 tells nothing of a client that its password_file has let in."""
    chat = with_passwords(brokers)
    boss = Moderator(chat, client=chat.mqtt(A, password="secret"))
    quiet = chat.mqtt(B, password="secret")
    assert boss.ok("kick", user=B)["sessions"] in (0, 1)
    assert isinstance(quiet.next(), Closed)


def test_listed_moderators_are_nobodys_to_kick(brokers):
    chat = moderated(brokers, moderators=A + "," + B, token_role_claim="roles")
    rogue = Moderator(chat, client=chat.mqtt(C, password=chat.issuer.token(C, roles="moderator")))
    boss = Moderator(chat)
    for command in ("kick", "ban"):
        rogue.refused(command, "not_allowed", field="user", user=A)
        boss.refused(command, "not_allowed", field="user", user=B)
    rogue.refused("ban", "not_allowed", field="user", user=C)
    boss.ok("ban", user=C)
    assert isinstance(rogue.client.next(), Closed)


# --- ban ---

def expect_banned(chat, address, why, **more):
    one = chat.raw_ws(address, token=chat.issuer.token(address), **more)
    end = one.expect_close(4102)
    assert end.reason == why, end


def test_a_ban_sends_away_and_keeps_out(chat):
    boss = Moderator(chat)
    there = [session(chat, B), session(chat, B)]
    mqtt = member(chat, B)
    assert boss.ok("ban", user="bob@EXAMPLE.com", reason="spam") == {"sessions": 3}
    for one in there:
        assert one.expect_close(4102).reason == "banned: spam"
    assert isinstance(mqtt.next(), Closed)
    expect_banned(chat, B, "banned: spam")
    expect_banned(chat, B, "banned: spam", device="phone")
    token = chat.issuer.token(B)
    for version in (4, 5):
        code = REFUSED if version == 5 else 5
        assert chat.mqtt_refused(B, version=version, password=token) == code
        assert chat.mqtt_refused(B, version=version, password=token, unix=chat.socket_path) == code
    # a bad token is still that, and others are others
    assert chat.raw_ws(C, token="abc").expect_close(4101).reason.startswith("token")
    session(chat, C)
    bans = boss.ok("listBans")
    assert bans == {"bans": [{"user": B, "since": ANY_TIME, "by": A, "reason": "spam"}], "totalCount": 1}, bans
    boss.ok("unban", user=B)
    session(chat, B)
    member(chat, B)
    boss.refused("unban", "not_found", user=B)


def test_a_ban_ends_by_itself(chat):
    boss = Moderator(chat)
    boss.ok("ban", user=B, seconds=2)
    expect_banned(chat, B, "banned")
    ban, = boss.ok("listBans")["bans"]
    assert set(ban) == {"user", "since", "until", "by"} and ban["until"] > ban["since"], ban

    def comes_in():
        one = chat.raw_ws(B, token=chat.issuer.token(B), events="typing")
        first = one.next()
        one.close()
        return not isinstance(first, Closed)
    wait_for(comes_in, "the ban is over")
    wait_for(lambda: boss.ok("listBans")["totalCount"] == 0, "and gone")


def test_a_new_ban_takes_the_place_of_the_old_one(chat):
    boss = Moderator(chat)
    boss.ok("ban", user=B, seconds=3600, reason="one")
    boss.ok("ban", user=B, reason="two")
    ban, = boss.ok("listBans", user=B)["bans"]
    assert ban["reason"] == "two" and "until" not in ban, ban
    expect_banned(chat, B, "banned: two")


def test_a_ban_with_auth_none_and_broker(brokers):
    for auth in (None, "broker"):
        chat = with_passwords(brokers, auth=auth)
        boss = Moderator(chat, client=chat.mqtt(A, password="secret"))
        bob = chat.ws(B, token="secret")
        boss.ok("ban", user=B, reason="x")
        assert bob.expect_close(4102).reason == "banned: x"
        assert chat.raw_ws(B, token="secret").expect_close(4102).reason == "banned: x"
        assert chat.mqtt_refused(B, password="secret") == REFUSED
        if auth:
            assert chat.raw_ws(B, token="wrong").expect_close(4102).reason == "banned: x"
            assert chat.raw_ws(A, token="wrong").expect_close(4101).reason == "token not accepted"


def test_several_bridges_close_what_is_theirs(brokers):
    chat = moderated(brokers, bridges=3)
    boss = Moderator(chat)
    going = [session(chat, B) for _ in range(12)]
    staying = [session(chat, C) for _ in range(4)]
    assert boss.ok("ban", user=B)["sessions"] == 12
    for one in going:
        one.expect_close(4102)
    for _ in range(6):
        expect_banned(chat, B, "banned")
    for one in staying:
        one.expect_nothing()


def test_there_is_a_bound_and_it_has_a_name(brokers):
    """A file with as many bans as there may be, written by hand."""
    chat = moderated(brokers, start=False, history=True)
    lines = ['{"mosquitto-chat":"moderation","version":1}']
    lines += ['{"kind":"ban","user":"u%d@example.com","since":1,"until":0}' % n for n in range(5000)]
    chat.file("chat-moderation.jsonl", "\n".join(lines) + "\n", 0o600)
    chat.start()
    boss = Moderator(chat)
    boss.refused("ban", "full", user=B)
    boss.ok("ban", user="u7@example.com", reason="one that is there")
    page = boss.ok("listBans", count=100, offset=4950)
    assert page["totalCount"] == 5000 and len(page["bans"]) == 50, page["totalCount"]
    boss.ok("unban", user="u9@example.com")
    boss.ok("ban", user=B)


class _AnyTime:
    def __eq__(self, other):
        return isinstance(other, str) and bool(TIMESTAMP.fullmatch(other))


ANY_TIME = _AnyTime()


# --- what is kept ---

def test_bans_and_the_audit_outlive_a_restart(brokers):
    chat = moderated(brokers, history=True)
    boss = Moderator(chat)
    boss.ok("ban", user=B, reason="\u00e9 \"x\"")
    boss.ok("ban", user=C, seconds=1)
    boss.ok("ban", user="dave@example.com", seconds=3600)
    boss.refused("unban", "not_found", user="eve@example.com")
    before = boss.ok("listBans")["bans"], boss.ok("getAudit")["entries"]
    chat.restart()
    boss = Moderator(chat)
    wait_for(lambda: boss.ok("listBans")["totalCount"] == 2, "one ban is over")
    after = boss.ok("listBans")["bans"], boss.ok("getAudit")["entries"]
    assert after[0] == [ban for ban in before[0] if ban["user"] != C] and after[1] == before[1], (before, after)
    expect_banned(chat, B, "banned: \u00e9 \"x\"")
    assert oct(os.stat(file_of(chat)).st_mode & 0o777) == "0o600"


def test_a_broker_that_is_killed_keeps_what_is_older_than_a_moment(brokers):
    chat = moderated(brokers, history=True)
    Moderator(chat).ok("ban", user=B)
    wait_for(lambda: os.path.exists(file_of(chat)) and B in open(file_of(chat)).read(), "the ban is in the file")
    chat.kill()
    chat.close_clients()
    chat.start()
    expect_banned(chat, B, "banned")


def test_where_it_is_kept(brokers):
    named = moderated(brokers, start=False)
    named.options["moderation_file"] = os.path.join(named.folder, "mods")
    named.start()
    Moderator(named).ok("ban", user=B)
    wait_for(lambda: os.path.exists(named.options["moderation_file"]), "the file that is named")
    beside = moderated(brokers, start=False)
    beside.lines += ["persistence true", "persistence_location %s/" % beside.folder]
    beside.start()
    Moderator(beside).ok("ban", user=B)
    wait_for(lambda: os.path.exists(file_of(beside)), "the file beside the broker's database")
    nowhere = moderated(brokers)
    nowhere.wait_log("bans and mutes end with this broker")
    assert not os.path.exists(file_of(nowhere))


@pytest.mark.parametrize("text, line", [("", 1), ("{}\n", 1), ("HEAD\n{\n", 2), ("HEAD\nBAN", 2), ("HEAD\nBAN\nBAN x\n", 3),
                                        ("HEAD\n{\"kind\":\"ban\",\"user\":\"bob\",\"since\":1,\"until\":0}\n", 2),
                                        ("HEAD\n{\"kind\":\"spell\"}\n", 2)], ids=range(7))
def test_a_file_that_cannot_be_read_stops_the_broker(brokers, text, line):
    chat = moderated(brokers, start=False, history=True)
    text = text.replace("HEAD", '{"mosquitto-chat":"moderation","version":1}')
    text = text.replace("BAN", '{"kind":"ban","user":"bob@example.com","since":1,"until":0}')
    chat.file("chat-moderation.jsonl", text, 0o600)
    assert "chat-moderation.jsonl: line %d cannot be read" % line in chat.start_refused()


def test_a_disk_that_takes_nothing_is_said_and_caught_up_with(brokers):
    chat = moderated(brokers, start=False)
    chat.allow("the moderation file .* cannot be written")
    folder = os.path.join(chat.folder, "kept")
    os.mkdir(folder)
    chat.options["moderation_file"] = os.path.join(folder, "mods")
    chat.start()
    boss = Moderator(chat)
    os.rename(folder, folder + ".away")
    boss.ok("ban", user=B)
    chat.wait_log("the moderation file .*mods cannot be written: No such file")
    expect_banned(chat, B, "banned")
    os.rename(folder + ".away", folder)
    chat.wait_log("the moderation file .*mods is written again")
    assert B in open(chat.options["moderation_file"]).read()


# --- the audit ---

def test_every_command_is_logged_and_what_changes_is_audited(chat):
    boss = Moderator(chat)
    boss.ok("listSessions")
    boss.ok("ban", user=B, seconds=60, reason="spam & \u00e9")
    boss.refused("kick", "invalid_email", field="user", user="bob")
    boss.refused("unban", "not_found", user=C)
    entries = boss.ok("getAudit")["entries"]
    assert entries == [
        {"at": ANY_TIME, "by": A, "command": "unban", "user": C, "result": "not_found"},
        {"at": ANY_TIME, "by": A, "command": "kick", "result": "invalid_email"},
        {"at": ANY_TIME, "by": A, "command": "ban", "user": B, "seconds": 60, "text": "spam & \u00e9", "result": "ok"},
    ], entries
    page = boss.ok("getAudit", count=1, offset=1)
    assert page["totalCount"] == 3 and [one["command"] for one in page["entries"]] == ["kick"], page
    log = chat.log()
    for line in ("listSessions: ok", r"ban bob@example\.com for 60 s \(spam & \?+\): ok", "kick: invalid_email",
                 "unban carol@example\\.com: not_found", "getAudit: ok"):
        assert re.search(r"chat: moderation: alice@example\.com: " + line, log), line
    counted = chat.counters("chat")
    assert counted["commands ok"] == 4 and counted["commands failed"] == 2, counted


def test_the_audit_forgets_the_oldest(brokers):
    chat = moderated(brokers, start=False, history=True)
    lines = ['{"mosquitto-chat":"moderation","version":1}']
    lines += ['{"kind":"audit","at":%d,"by":"%s","command":"kick","user":"u%d@example.com","seconds":0,"result":"ok"}' % (n, A, n)
              for n in range(1000)]
    chat.file("chat-moderation.jsonl", "\n".join(lines) + "\n", 0o600)
    chat.start()
    boss = Moderator(chat)
    boss.ok("kick", user=B)
    page = boss.ok("getAudit", count=2, offset=998)
    assert page["totalCount"] == 1000 and [one["user"] for one in page["entries"]] == ["u2@example.com", "u1@example.com"], page
