"""What a moderator does at one node holds at all: at once, after a cut, and at a node that comes later."""

import os

import pytest

from harness.dialogue import wait_for
from harness.history import rows, wait_stored
from harness.moderation import Moderator
from harness.scrape import scrape
from harness.tokens import A, B, C, Issuer, member, session, write_keys
from star import LINKED, Star
from test_star import at_hub

D = "dora@example.com"
# Those who are banned: for two seconds whoever has been is looked for once more.
E, F, G = "eve@example.com", "fred@example.com", "gus@example.com"
BANNED = 0x87


@pytest.fixture(scope="module")
def shared_star(tmp_path_factory, report_on):
    issuer = Issuer()
    folder = tmp_path_factory.mktemp("keys")
    os.chmod(folder, 0o755)
    one = Star(auth="token", token_key_file=write_keys(str(folder / "token.key"), issuer.file()), moderators=A)

    def prepare(node):
        node.issuer, node.secrets = issuer, Issuer.made
        node.password_of = issuer.token
    one.prepare = prepare
    with report_on(one):
        yield one.start()


@pytest.fixture
def bosses(star):
    return [Moderator(node) for node in star]


def listed(boss, what, key="user", **members):
    name = {"listBans": "bans", "listMutes": "mutes", "listClosedRooms": "rooms", "listRenamedRooms": "rooms"}[what]
    return {entry[key]: entry for entry in boss.ok(what, **members)[name]}


def wait_listed(bosses, what, name, there=True, key="user", timeout=LINKED):
    for boss in bosses:
        wait_for(lambda: (name in listed(boss, what, key)) == there, lambda: "%s of %s: %r" % (what, name, boss.ok(what)), timeout)
    return [listed(boss, what, key).get(name) for boss in bosses]


def test_a_ban_holds_at_each_node(star, bosses):
    page, client = session(star[1], E), member(star[2], E)
    assert bosses[0].ok("ban", user=E, reason="spam", seconds=3600) == {"sessions": 0}
    end = page.expect_close(4102)
    assert end.reason == "banned: spam", end
    client.expect_close(0x98)  # an administrative action
    entries = wait_listed(bosses, "listBans", E)
    assert entries[0] == entries[1] == entries[2] and entries[0]["by"] == A, entries
    for node in star:
        assert node.mqtt_refused(E, password=node.issuer.token(E)) == BANNED
    # each has it in its own audit and in its own file
    for boss in bosses:
        entry = boss.ok("getAudit", count=1)["entries"][0]
        assert (entry["command"], entry["by"], entry["user"], entry["seconds"], entry["text"]) == ("ban", A, E, 3600, "spam")
    bosses[2].ok("unban", user=E)
    wait_listed(bosses, "listBans", E, there=False)
    for node in star:
        member(node, E).disconnect()


def test_a_mute_and_a_closed_room(star, bosses):
    authors = [member(node, B) for node in star]
    bosses[1].ok("mute", user=B, room="general")
    wait_listed(bosses, "listMutes", B)
    for author in authors:
        author.read_notices()
        assert author.send({"message": "hm", "ref": "1"}) == 0x87
        author.expect_error("muted", ref="1")
    bosses[0].ok("unmute", user=B, room="general")
    wait_listed(bosses, "listMutes", B, there=False)
    bosses[2].ok("closeRoom", room="attic", reason="dust")
    wait_listed(bosses, "listClosedRooms", "attic", key="room")
    for author, node in zip(authors, star):
        assert author.send({"message": "hm", "ref": "2"}, room="attic") == 0x87
        author.expect_error("room_closed", ref="2")
        # the bridge knows, too
        late = node.raw_ws(C, rooms=["attic"], token=node.issuer.token(C))
        late.expect_close(4102)
    bosses[1].ok("openRoom", room="attic")
    wait_listed(bosses, "listClosedRooms", "attic", there=False, key="room")
    for author, node in zip(authors, star):
        assert author.send({"message": "ah"}, room="attic") == 0
        session(node, C, rooms=["attic"]).close()


def test_what_is_done_once(star, bosses):
    pages = [session(node, user) for node, user in zip(star, (B, C, D))]
    bosses[1].ok("announce", message="tea", room="general")
    for page in pages:
        page.expect(type="system", code="announcement", message="tea", room="general")
        page.expect_nothing()
    for user, page in zip((B, C, D), pages):
        bosses[2].ok("kick", user=user, reason="out")
        assert page.expect_close(4102).reason == "kicked: out"
    for node, user in zip(star, (B, C, D)):
        session(node, user).close()


def test_a_message_is_deleted_everywhere(star, bosses):
    author, readers = member(star[2], B), [session(node, C, events="deleted") for node in star]
    author.send({"message": "secret plan"})
    got = [reader.expect_message("secret plan", B) for reader in readers]
    for node in star:
        wait_stored(node, got[0]["id"])
    bosses[0].ok("deleteMessage", id=got[0]["id"])
    for node, reader in zip(star, readers):
        reader.expect(type="deleted", id=got[0]["id"], room="general", timeout=LINKED)
        wait_for(lambda: not [1 for row in rows(node) if row[2] and "secret plan" in str(row[2])], "the text is gone at " + node.name)
        assert "secret plan" not in node.http("GET", "/rooms/general/messages",
                                              headers=[("Authorization", "Bearer " + node.issuer.token(C))]).body.decode()


def test_a_deletion_that_comes_before_its_message(star, bosses):
    """mosquitto's link may let one go before the other when it reconnects."""
    reader = member(star[0], C).read_room()
    author = member(star[0], B)
    author.send({"message": "first"})
    fresh = reader.expect_message("first", B).raw.decode()
    old = fresh.split('"id":"')[1][:26]
    new = old[:20] + "ZZZZZZ"
    node2 = at_hub(star)
    node2.publish("chat/nodes/node2", ("order 1 %s\n%s\n%s\n" % (old[:20] + "YYYYYY", A, '{"command":"deleteMessage","id":"%s"}' % new)).encode())
    star[0].wait_log("moderation: %s: deleteMessage %s: not_found" % (A, new))
    node2.publish("chat/rooms/general", fresh.replace(old, new).encode())
    node2.publish("chat/rooms/general", fresh.replace(old, old[:20] + "XXXXXX").replace("first", "second").encode())
    reader.expect_message("second", B)
    node2.close()


def test_the_later_word_counts_after_a_cut(star, bosses):
    for user in (E, F):
        bosses[0].ok("ban", user=user, reason="first")
        wait_listed(bosses, "listBans", user)
    star.wires[1].cut()
    bosses[1].ok("unban", user=E)
    bosses[0].ok("ban", user=E, reason="later")
    bosses[0].ok("ban", user=F, reason="again")
    bosses[1].ok("unban", user=F)
    bosses[1].ok("mute", user=D, seconds=1000)
    star.wires[1].mend()
    wait_listed(bosses, "listMutes", D)
    wait_listed(bosses, "listBans", F, there=False)
    for boss in bosses:
        wait_for(lambda: listed(boss, "listBans").get(E, {}).get("reason") == "later", lambda: repr(boss.ok("listBans")), LINKED)
    bosses[2].ok("unban", user=E)
    bosses[2].ok("unmute", user=D)
    wait_listed(bosses, "listBans", E, there=False)
    wait_listed(bosses, "listMutes", D, there=False)


def test_a_node_that_has_never_heard_of_it(star, bosses):
    """It has lost its file, and the others' words in its queue are long gone; so are those of what was lifted there."""
    bosses[0].ok("ban", user=F)
    bosses[0].ok("ban", user=G)
    wait_listed(bosses, "listBans", G)
    assert star[2].terminate() == 0
    star[2].close_clients()
    bosses[0].ok("unban", user=G)
    os.unlink(os.path.join(star[2].folder, "chat-moderation.jsonl"))
    star[2].start()
    bosses[2] = Moderator(star[2])
    wait_listed(bosses, "listBans", F)
    star[2].wait_log(r"moderation: node node[12] knew of \d+ bans")
    assert set(listed(bosses[2], "listBans")) == {F}
    bosses[2].ok("unban", user=F)
    wait_listed(bosses, "listBans", F, there=False)


def refused(node):
    return scrape(node).get(("publishes_refused_total", "peer"), 0)


def test_what_a_peer_may_not(star, bosses):
    """It sends no moderator of this node away, and what is no sanction or order is refused."""
    node2, boss = at_hub(star), bosses[0]
    far = 4102444800000
    line = '{"kind":"ban","user":"%s","since":%d,"until":0,"by":"%s"}\n'
    node2.publish("chat/nodes/node2", ("imposed 1 news\n" + line % (A, far, B)).encode())
    star[0].wait_log("moderation at node node2 is not followed here: a ban or mute of %s: a moderator" % A)
    assert A not in listed(boss, "listBans")
    member(star[0], A).disconnect()
    good = '{"command":"kick","user":"%s"}\n' % B
    ulid = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    bads = ("imposed 1 some\n" + line % (B, 1, A), "imposed 1 news\n" + line[:-1] % (B, 1, A), "imposed 1 news\n{}\n",
                "imposed 1 news\n" + (line % (B, 1, A)).replace("ban", "audit"), "imposed 1 news\n\n",
                "order 1 x\n%s\n%s" % (A, good), "order 1 %s\n%s" % (ulid, good), "order 1 %s\nalice\n%s" % (ulid, good),
                "order 1 %s\n%s\n%s" % (ulid, A, good[:-1]), "order 1 %s\n%s\n" % (ulid, A),
                "order 1 %s\n%s\n%s" % (ulid, A, good.replace("kick", "ban")), "order 1 %s\n%s\n%s%s" % (ulid, A, good, good))
    before = refused(star[0])
    for bad in bads:
        node2.publish("chat/nodes/node2", bad.encode())
    wait_for(lambda: refused(star[0]) >= before + len(bads), lambda: "%g refused" % (refused(star[0]) - before))
    assert refused(star[0]) == before + len(bads) and B not in listed(boss, "listBans")
    # one that is a year old
    page = session(star[0], B)
    node2.publish("chat/nodes/node2", ("order 1 %s\n%s\n%s" % (ulid, A, good)).encode())
    page.expect_nothing()
    node2.close()


def test_a_renamed_room(star, bosses):
    """At each node who is there is moved and what was said stands under the new name; what another node still says under the old one, too."""
    pages = [session(node, C, rooms=["hall"]) for node in star]
    author = member(star[0], B)
    author.send({"message": "before"}, room="hall")
    for page, node in zip(pages, star):
        wait_stored(node, page.expect_message("before", B, room="hall")["id"])
    bosses[1].ok("renameRoom", room="hall", to="salon")
    entries = wait_listed(bosses, "listRenamedRooms", "hall", key="room")
    assert entries[0] == entries[1] == entries[2] and entries[0]["to"] == "salon", entries
    for page in pages:
        page.expect(type="renamed", room="hall", to="salon")
    author.send({"message": "after"}, room="salon")
    for page, node in zip(pages, star):
        page.expect_message("after", B, room="salon")
        page.rooms = {"salon"}
        page.send({"type": "history", "room": "hall", "ref": "h"})
        messages = page.expect(type="history", room="salon", ref="h")["messages"]
        assert [(one["room"], one["message"]) for one in messages] == [("salon", "before"), ("salon", "after")], messages
    for boss in bosses:
        entry = boss.ok("getAudit", count=1)["entries"][0]
        assert (entry["command"], entry["by"], entry["room"], entry["to"]) == ("renameRoom", A, "hall", "salon"), entry
    # a node that has not heard of it yet
    reader = member(star[0], C).read_room("salon")
    author.send({"message": "a pattern"}, room="salon")
    pattern = reader.expect_message("a pattern", B).raw.decode()
    for page in pages:
        page.expect_message("a pattern", B)
    old = pattern.split('"id":"')[1][:26]
    node2 = at_hub(star)
    late = pattern.replace(old, old[:20] + "ZZZZZZ").replace("salon", "hall").replace("a pattern", "late")
    node2.publish("chat/rooms/hall", late.encode())
    node2.publish("chat/rooms/hall", late.encode())
    assert reader.expect_message("late", B, room="salon").topic == "chat/rooms/salon"
    pages[0].expect_message("late", B, room="salon")
    reader.expect_nothing()
    node2.close()
    # and back: the old name is a name again, at each node
    bosses[2].ok("renameRoom", room="salon", to="hall")
    wait_listed(bosses, "listRenamedRooms", "hall", there=False, key="room")
    for page in pages:
        frames = [page.next(), page.next()] if page is not pages[0] else [page.next()]
        assert frames[-1].get("type") == "renamed" and frames[-1]["to"] == "hall", frames


def test_two_nodes_that_rename_against_each_other(star, bosses):
    """Cut off from each other they make names lead in a circle: the later word counts at each."""
    bosses[0].ok("renameRoom", room="east", to="west")
    wait_listed(bosses, "listRenamedRooms", "east", key="room")
    star.wires[1].cut()
    bosses[1].ok("renameRoom", room="west", to="east")
    bosses[0].ok("renameRoom", room="west", to="south")
    star.wires[1].mend()
    for node, boss in zip(star, bosses):
        wait_for(lambda: listed(boss, "listRenamedRooms", "room").get("west", {}).get("to") == "south",
                 lambda: repr(boss.ok("listRenamedRooms")), LINKED)
        author = member(node, B).read_notices()
        author.send({"message": "x", "ref": "1"}, room="west")
        author.expect(type="error", code="room_renamed", to="south", ref="1")
