"""The comparison itself, on made-up runs: each thing that must not be is found, each excuse has its limit."""

import collections

import pytest

import checker
from records import (DEVICE, DEVICE_SINCE, LIVE, MQTT4, MQTT5, PAGE, REPLAY, WS, Connection, Fault, Message, Reader,
                     Receipt, Row, Run, receipt_of, text_of)

A, B = "a@x.org", "b@x.org"
ROOM = "room:one"


def id_of(n):
    return "%026d" % n


class World:
    """A sends ten messages to a room, one each second from 1 on, acked 0.01 s later; B gets them 0.02 s later."""

    def __init__(self, kind=WS, qos=1, place=ROOM):
        self.reader = Reader(B, kind, {"one"})
        self.author = Reader(A, MQTT4, {"two"})
        for one in (self.reader, self.author):
            one.connections.append(Connection(0, 0.0, since=id_of(0), ready=0.1, present=False))
        self.messages, self.rows, self.faults, self.pages = {}, [], [], {}
        self.place = place
        for seq in range(1, 11):
            message = Message(A, seq, place, float(seq), qos, acked=seq + 0.01, acks=1, ids=[id_of(seq)], sent_on=[0])
            self.messages[message.key] = message
            self.rows.append(Row(seq, id_of(seq), A, seq, place))
            self.reader.receipts.append(self.receipt(seq))
            if place != ROOM:
                self.author.receipts.append(self.receipt(seq))
        # What is stored first, so that a since may name it.
        self.rows.insert(0, Row(0, id_of(0), A, 0, place))
        self.messages[A, 0] = Message(A, 0, place, 0.0, acked=0.0, acks=1, ids=[id_of(0)])
        for one in (self.reader, self.author):
            if one is self.reader or place != ROOM:
                one.receipts.insert(0, self.receipt(0))

    def receipt(self, seq, at=None, one=None, **more):
        return Receipt(seq + 0.02 if at is None else at, one or id_of(seq), A, seq, self.place, self.place, **more)

    def got(self, seq):
        """The place of that message in what B got."""
        return next(n for n, receipt in enumerate(self.reader.receipts) if receipt.seq == seq)

    def loses(self, *seqs):
        self.reader.receipts = [one for one in self.reader.receipts if one.seq not in seqs]
        return self

    def gets(self, *receipts):
        self.reader.receipts = sorted(self.reader.receipts + list(receipts), key=lambda one: one.at)
        return self

    def forgets(self, *seqs):
        self.rows = [row for row in self.rows if row.seq not in seqs]
        return self

    def comes_back(self, closed, ready, **more):
        self.reader.connections[-1].closed = closed
        self.reader.connections.append(
            Connection(len(self.reader.connections), ready - 0.01, ready=ready, **more))
        for one in self.reader.receipts:
            if one.at > ready:
                one.connection = len(self.reader.connections) - 1
        return self

    def fault(self, kind, at, until=None):
        self.faults.append(Fault(kind, at, at + 0.3 if until is None else until))
        return self

    def kinds(self, history=True, synced=False):
        run = Run(self.messages, [self.reader, self.author], self.faults, self.rows if history else None, self.pages,
                  synced)
        found = checker.check(run)
        assert all(one.kind in checker.KINDS for one in found)
        assert checker.table(found)
        return dict(collections.Counter(one.kind for one in found))


@pytest.mark.parametrize("kind", [WS, DEVICE, DEVICE_SINCE, MQTT4, MQTT5])
@pytest.mark.parametrize("place", [ROOM, "to:" + B])
def test_nothing_to_find(kind, place):
    assert World(kind, place=place).kinds() == {}


# lost

@pytest.mark.parametrize("kind", [WS, DEVICE, DEVICE_SINCE, MQTT4, MQTT5])
@pytest.mark.parametrize("place", [ROOM, "to:" + B])
def test_one_lost(kind, place):
    assert World(kind, place=place).loses(5).kinds() == {"lost": 1}


@pytest.mark.parametrize("kind", [WS, DEVICE, DEVICE_SINCE, MQTT4, MQTT5])
def test_the_last_one_lost(kind):
    assert World(kind).loses(10).kinds() == {"lost": 1}


@pytest.mark.parametrize("kind", [WS, DEVICE, DEVICE_SINCE, MQTT4, MQTT5])
def test_lost_without_history(kind):
    assert World(kind).loses(5).kinds(history=False) == {"lost": 1}


def test_not_acked_is_not_lost_but_said():
    world = World().loses(5)
    world.messages[A, 5].acked = None
    assert world.kinds() == {"never acked": 1}


def test_refused():
    world = World().loses(5).forgets(5)
    world.messages[A, 5].acked, world.messages[A, 5].errors = None, ["too_long message"]
    assert world.kinds() == {"refused": 1}


def test_own_messages_over_mqtt():
    """An MQTT author has a copy in its inbox, a session without echo has not."""
    world = World(place="to:" + B)
    world.author.receipts.pop()
    assert world.kinds() == {"lost": 1}
    world.author.kind = WS
    world.author.receipts.clear()
    assert world.kinds() == {}
    world.author.echo = True
    assert world.kinds() == {"lost": 11}


@pytest.mark.parametrize("kind,found", [
    (WS, "lost"), (DEVICE_SINCE, "lost"), (MQTT4, "lost to a persistent session: broker killed"),
    (DEVICE, "lost to a persistent session: broker killed")])
def test_lost_when_the_broker_was_killed(kind, found):
    world = World(kind).loses(5).fault("broker-kill", 5.5).comes_back(5.5, 5.9, present=True, since=id_of(4))
    assert world.kinds() == {found: 1}


@pytest.mark.parametrize("kind", [MQTT4, DEVICE])
def test_a_kill_excuses_no_gap_before_what_came(kind):
    """5 is missing though 6 came long before the broker was killed."""
    world = World(kind).loses(5).fault("broker-kill", 8.5).comes_back(8.5, 8.9, present=True)
    assert world.kinds() == {"lost": 1}


@pytest.mark.parametrize("kind", [MQTT4, DEVICE])
def test_a_kill_excuses_nothing_after_it(kind):
    world = World(kind).loses(7).fault("broker-kill", 5.5).comes_back(5.5, 5.9, present=True)
    assert world.kinds() == {"lost": 1}


def test_a_session_that_the_broker_has_forgotten():
    """Nothing is kept for it until it is there again."""
    world = World(MQTT4).loses(6, 7).fault("broker-kill", 5.5)
    assert world.comes_back(5.5, 7.5, present=False).kinds() == {"lost to a persistent session: broker killed": 2}
    world.reader.connections[-1].present = True
    assert world.kinds() == {"lost": 2}


def test_on_its_way_when_the_connection_broke():
    world = World(DEVICE).loses(5).comes_back(5.1, 6.5)
    assert world.kinds() == {"lost to a device without since: on its way when the connection broke": 1}
    world.reader.kind = DEVICE_SINCE
    assert world.kinds() == {"lost": 1}
    world.reader.kind = MQTT4
    assert world.kinds() == {"lost": 1}


@pytest.mark.parametrize("kind", [MQTT4, DEVICE])
def test_the_last_round_of_a_broker(kind):
    """A direct message that was answered only when its author sent it again, to the next broker."""
    world = World(kind, place="to:" + B).loses(5).fault("broker-stop", 5.0, 5.4)
    assert world.kinds() == {"lost": 1}
    world.messages[A, 5].acked = 5.5
    assert world.kinds() == {"lost to a persistent session: direct message accepted in the broker's last round": 1}
    world.reader.kind = WS
    assert world.kinds() == {"lost": 1}


def test_left_half_open():
    """The server writes to the old connection until the device's new session comes."""
    world = World(DEVICE).loses(6, 7).comes_back(5.1, 7.9)
    world.reader.connections[0].half_open = True
    assert world.kinds() == {"lost to a device without since: on its way when the connection broke": 2}
    assert world.loses(8).kinds()["lost"] == 1


def test_what_a_device_misses_while_away_is_kept():
    assert World(DEVICE).loses(6, 7).comes_back(5.1, 7.9).kinds() == {"lost": 2}


def test_a_bridge_that_stood_still_notices_late():
    world = World(DEVICE).loses(6).comes_back(5.1, 7.5).fault("pause-bridge", 5.0, 6.4)
    assert world.kinds() == {"lost to a device without since: on its way when the connection broke": 1}


def test_killed_before_the_flush():
    world = World(WS).loses(5).forgets(5).fault("broker-kill", 5.1)
    assert world.kinds() == {"lost to a reader with since: broker killed before the flush": 1,
                             "not in history: broker killed before the flush": 1}
    # With history_sync there is no such time.
    assert world.kinds(synced=True) == {"lost": 1, "not in history": 1}


def test_killed_after_the_flush():
    assert World(WS).loses(5).forgets(5).fault("broker-kill", 5.3).kinds() == {"lost": 1, "not in history": 1}


def test_standing_still_is_no_time_to_flush():
    world = World(WS).forgets(5).fault("pause-broker", 5.02, 5.9).fault("broker-kill", 5.9)
    assert world.kinds() == {"not in history: broker killed before the flush": 1}


def test_a_stop_in_good_order_excuses_nothing():
    assert World(WS).loses(5).forgets(5).fault("broker-stop", 5.05).kinds() == {"lost": 1, "not in history": 1}


def test_lost_behind_the_since():
    """The reader had said that it had what came after."""
    world = World(WS).loses(5).comes_back(6.5, 6.9, since=id_of(6))
    assert world.kinds() == {"lost, older than the since that was given": 1}


def test_by_paging():
    world = World(WS).comes_back(4.5, 6.5, since=id_of(4))
    world.loses(5, 6).gets(world.receipt(5, 20, channel=PAGE), world.receipt(6, 20, channel=PAGE))
    assert world.kinds() == {"lost": 2}
    world.reader.connections[1].incomplete.add(ROOM)
    assert world.kinds() == {"only by paging, as complete:false said": 2, "complete:false without need": 1}


def test_incomplete_for_a_reason():
    world = World(WS).comes_back(4.5, 6.5, since=id_of(77))
    world.loses(5).gets(world.receipt(5, 20, channel=PAGE))
    world.reader.connections[1].incomplete.add(ROOM)
    assert world.kinds() == {"only by paging, as complete:false said": 1}


def test_qos2_between_its_packets():
    world = World(WS, qos=2).loses(5).fault("broker-kill", 5.005)
    assert world.kinds() == {"lost with QoS 2, broker killed between PUBLISH and PUBREL": 1}


# twice

@pytest.mark.parametrize("kind", [WS, DEVICE, DEVICE_SINCE, MQTT4, MQTT5])
def test_one_twice(kind):
    world = World(kind)
    assert world.gets(world.receipt(5, 5.5)).kinds() == {"twice on one connection": 1}


def test_twice_in_a_replay():
    world = World(WS).comes_back(6.5, 6.9, since=id_of(6))
    assert world.gets(world.receipt(5, 6.95, channel=REPLAY, connection=1)).kinds() == {"twice": 1}
    world.reader.connections[1].since = id_of(4)
    assert world.kinds() == {"twice: the since given was older than what had come": 1}
    # An id that is not stored: what is behind it by its own order.
    world.reader.connections[1].since = id_of(4)[:-1] + "4X"
    assert world.kinds() == {"twice: the since given was older than what had come": 1}
    world.reader.connections[1].since = id_of(5)[:-1] + "5X"
    assert world.kinds() == {"twice": 1}


def test_twice_by_replay_and_live_on_one_connection():
    world = World(WS).comes_back(4.5, 4.9, since=id_of(4))
    world.gets(world.receipt(5, 5.5, channel=REPLAY, connection=1))
    assert world.kinds() == {"twice on one connection": 1}


def test_twice_with_qos2():
    world = World(WS, qos=2).comes_back(4.5, 4.9, since=id_of(4))
    world.gets(world.receipt(5, 5.01, channel=REPLAY, connection=1))
    assert world.kinds() == {"twice: QoS 2 around a replay": 1}


def test_twice_with_qos2_from_an_old_queue():
    """Live both times: what is late is never left out."""
    world = World(DEVICE_SINCE, qos=2).comes_back(5.5, 5.9, since=id_of(5))
    world.gets(world.receipt(5, 5.95, connection=1))
    assert world.kinds() == {"twice: QoS 2 around a replay": 1}


def test_redelivered():
    world = World(MQTT4).comes_back(5.5, 5.9, present=True)
    world.gets(world.receipt(5, 5.95, connection=1, dup=True))
    assert world.kinds() == {"twice over MQTT: redelivered with DUP": 1}
    world.reader.receipts[world.got(5) + 1].dup = False
    assert world.kinds() == {"twice": 1}
    world.fault("broker-kill", 5.5)
    assert world.kinds() == {"twice over MQTT: from a queue saved before the broker was killed": 1}


def test_not_yet_confirmed():
    world = World(DEVICE).comes_back(5.3, 5.9)
    world.gets(world.receipt(5, 5.95, connection=1))
    assert world.kinds() == {"twice to a device: not yet confirmed to the broker when the connection broke": 1}
    world.reader.connections[0].closed = 5.8
    assert world.kinds() == {"twice": 1}
    world.reader.connections[0].closed = 5.3
    world.reader.kind = DEVICE_SINCE
    assert world.kinds() == {"twice": 1}


def test_two_ids():
    world = World()
    world.messages[A, 5].ids.append(id_of(50))
    world.rows.append(Row(50, id_of(50), A, 11, ROOM))
    world.messages[A, 11] = Message(A, 11, ROOM, 11.0, acked=11.1, acks=1, ids=[id_of(50)])
    world.gets(world.receipt(11, 11.2, one=id_of(50)))
    assert world.kinds() == {"two ids for one ref": 1}


def test_a_resend_that_was_delivered_again():
    world = World()
    world.gets(world.receipt(5, 5.5, one=id_of(50)))
    assert world.kinds() == {"two ids for one ref": 1}


def test_a_resend_of_what_was_not_flushed():
    world = World().fault("broker-kill", 5.1)
    world.messages[A, 5].ids = [id_of(50)]
    world.messages[A, 5].acked = 5.8
    row = next(row for row in world.rows if row.seq == 5)
    row.id = id_of(50)
    world.gets(world.receipt(5, 5.7, one=id_of(50)))
    assert world.kinds() == {"two ids for one ref: broker killed before the flush": 1}
    world.faults[0].at = 5.5
    assert world.kinds() == {"two ids for one ref": 1}


# order and place

@pytest.mark.parametrize("kind", [WS, DEVICE, DEVICE_SINCE, MQTT4, MQTT5])
@pytest.mark.parametrize("place", [ROOM, "to:" + B])
def test_out_of_order(kind, place):
    world = World(kind, place=place)
    at = world.got(5)
    receipts = world.reader.receipts
    receipts[at], receipts[at + 1] = receipts[at + 1], receipts[at]
    assert world.kinds() == {"out of order": 1}


def test_one_that_comes_much_later():
    world = World().loses(3)
    assert world.gets(world.receipt(3, 30)).kinds() == {"out of order": 1}


def test_places_have_an_order_of_their_own():
    """7 went to the other room and came late: no disorder."""
    world = World().loses(7)
    world.reader.rooms.add("two")
    world.messages[A, 7].place = world.rows[7].place = "room:two"
    world.author.rooms.clear()
    late = world.receipt(7, 30)
    late.place = late.said = "room:two"
    assert world.gets(late).kinds() == {}


def test_qos2_out_of_order_around_a_replay():
    world = World(WS, qos=2).loses(5)
    world.gets(world.receipt(5, 6.5, channel=REPLAY))
    assert world.kinds() == {"out of order: QoS 2 around a replay": 1}


def test_history_out_of_order():
    world = World()
    world.rows[5].n, world.rows[6].n = world.rows[6].n, world.rows[5].n
    assert world.kinds() == {"history out of order": 1}


def test_history_out_of_order_by_a_start():
    world = World()
    world.rows[5].n, world.rows[6].n = world.rows[6].n, world.rows[5].n
    message = world.messages[A, 5]
    message.qos = 2
    assert world.kinds()["history out of order"] == 1
    world.faults.append(Fault("broker-stop", message.sent + 1, message.sent + 2))
    assert "history out of order" not in world.kinds()


def test_in_the_wrong_place():
    world = World()
    world.reader.receipts[5].place = "room:two"
    assert world.kinds() == {"wrong place": 1}


def test_in_a_room_where_one_is_not():
    world = World()
    world.author.receipts.append(world.receipt(5))
    assert world.kinds() == {"wrong place": 1}


def test_anothers_direct_message():
    world = World(place="to:" + B)
    eve = Reader("eve@x.org", WS, {"one"}, receipts=[world.receipt(5)])
    found = checker.check(Run(world.messages, [world.reader, world.author, eve], [], world.rows))
    assert [(one.kind, one.who) for one in found] == [("wrong place", "eve@x.org")]


def test_stored_in_the_wrong_place():
    world = World()
    world.rows[5].place = "room:two"
    assert "wrong place" in world.kinds()


def test_never_sent():
    world = World()
    assert world.gets(world.receipt(99, 20)).kinds() == {"never sent": 1}


def test_own_message_without_echo():
    world = World()
    world.reader.address = A
    world.author.address = B
    assert world.kinds() == {"own message without echo": 10}
    # Sent on one connection and again on the next: what came there was the first one's.
    world.messages[A, 5].sent_on.append(1)
    assert world.kinds() == {"own message without echo": 9}
    world.reader.echo = True
    assert world.kinds() == {}


# answers

def test_acks():
    world = World()
    world.author.kind = WS
    world.messages[A, 5].acks = 2
    assert world.kinds() == {"more acks than frames": 1}
    world.messages[A, 5].tries = 2
    assert world.kinds() == {}


@pytest.mark.parametrize("code", [1000, 1002, 1007, 1009, 4100, 4103])
def test_close_codes(code):
    world = World()
    world.reader.connections[0].code = code
    assert world.kinds() == {"close code": 1}


def test_pages():
    world = World()
    world.pages[B] = {ROOM: [id_of(n) for n in range(11)]}
    assert world.kinds() == {}
    world.pages[B][ROOM].pop(3)
    assert world.kinds() == {"paging differs from the file": 1}
    world.pages[B] = {ROOM: [id_of(n) for n in range(11)], "with:" + A: [id_of(3)]}
    assert world.kinds() == {"paging differs from the file": 1}
    world.pages[B] = {ROOM: [id_of(n) for n in (0, 1, 3, 2, 4, 5, 6, 7, 8, 9, 10)]}
    assert world.kinds() == {"paging differs from the file": 1}


# what the records say

def test_texts():
    frame = {"id": "X", "sender": A, "room": "one", "message": text_of(17, ROOM, "..."), "timestamp": "T"}
    receipt = receipt_of(frame, 1.0, channel=LIVE)
    assert (receipt.seq, receipt.said, receipt.place, receipt.author) == (17, ROOM, ROOM, A)
    assert receipt_of(dict(frame, message="hello"), 1.0) is None
    del frame["room"]
    assert receipt_of(dict(frame, to=B), 1.0).place == "to:" + B
