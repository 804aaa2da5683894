#!/usr/bin/python3
"""The whole server against mutated dialogues: WebSocket and MQTT conversations with bytes, packets and order changed.

    CHAT_BUILD_DIR=… [CHAT_SANITIZE=1] tests/fuzz/server.py [--seed N] [--seconds N] [--dialogues N] [--batch N]

After each batch the bridge must be the same process and both ways must still carry a message; at the end the log must
hold no finding of a sanitizer. The same seed makes the same dialogues; what the network makes of their timing is not in it.
"""

import argparse
import base64
import contextlib
import json
import os
import random
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

from harness.broker import Broker  # noqa: E402  the path comes first
from harness.wire import string, varint, write_properties  # noqa: E402

PEOPLE = ["alice@example.com", "bob@example.com", "carol@example.com"]
ULID = "01JDABCDEFGHJKMNPQRSTVWXYZ"


# dialogues: lists of pieces, each a bytes object that a client would send in one go

def json_frames(rng):
    ref = "r%d" % rng.randrange(50)
    return rng.choice([
        {"message": "hi"}, {"message": "hi", "ref": ref}, {"message": "psst", "to": rng.choice(PEOPLE), "ref": ref},
        {"message": "x" * rng.choice((1, 125, 126, 3000)), "room": "general"}, {"type": "typing"}, {"type": "typing", "to": PEOPLE[1]},
        {"type": "join", "room": "r%d" % rng.randrange(5), "ref": ref}, {"type": "leave", "room": "r%d" % rng.randrange(5)},
        {"type": "history", "room": "general", "limit": 5, "ref": ref}, {"type": "history", "with": PEOPLE[0], "before": ULID},
        {"type": "token", "token": "a.b.c"}, {"message": "", "extra": [1, {"a": None}]}, {"message": "äöü😀", "from": PEOPLE[0]},
    ])


def frame(rng, opcode, payload, fin=True, mask=True, rsv=0, length=None):
    n = len(payload) if length is None else length
    out = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    bit = 0x80 if mask else 0
    if n < 126:
        out += bytes([bit | n])
    elif n < 65536:
        out += bytes([bit | 126]) + struct.pack("!H", n)
    else:
        out += bytes([bit | 127]) + struct.pack("!Q", n)
    if mask:
        key = rng.randbytes(4)
        payload = bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))
        out += key
    return out + payload


def websocket_dialogue(rng):
    query = "&".join(rng.sample(["room=general,r1", "echo=1", "events=presence,typing", "device=d%d" % rng.randrange(3),
                                 "since=" + ULID, "token=x"], rng.randrange(4)))
    pieces = [("GET /ws/%s?%s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
               "Sec-WebSocket-Version: 13\r\nOrigin: https://example.com\r\n\r\n" %
               (rng.choice(PEOPLE), query, base64.b64encode(rng.randbytes(16)).decode())).encode()]
    for _ in range(rng.randrange(1, 12)):
        kind = rng.randrange(10)
        text = json.dumps(json_frames(rng), ensure_ascii=False).encode()
        if kind < 5:
            pieces.append(frame(rng, 1, text))
        elif kind == 5:
            cut = rng.randrange(len(text) + 1)
            pieces += [frame(rng, 1, text[:cut], fin=False), frame(rng, 0, text[cut:])]
        elif kind == 6:
            pieces.append(frame(rng, 9, rng.randbytes(rng.choice((0, 1, 125)))))
        elif kind == 7:
            pieces.append(frame(rng, 10, b"pong"))
        elif kind == 8:
            pieces.append(frame(rng, rng.randrange(16), rng.randbytes(rng.randrange(200)), fin=rng.random() < .8,
                                mask=rng.random() < .9, rsv=rng.choice((0, 0, 0, 4))))
        else:
            pieces.append(frame(rng, 8, struct.pack("!H", rng.choice((1000, 1001, 999, 4000))) + b"bye"))
    return pieces


def http_dialogue(rng):
    path = rng.choice(["/users", "/health", "/rooms/general/messages?limit=5", "/messages/%s_%s" % (PEOPLE[0], PEOPLE[1]),
                       "/rooms/r1/messages?before=" + ULID, "/nothing", "/ws/x"])
    return [("%s %s HTTP/1.1\r\nHost: x\r\nOrigin: null\r\n\r\n" % (rng.choice(("GET", "HEAD", "OPTIONS", "POST")), path)).encode()]


def packet(first, body):
    return bytes([first]) + varint(len(body)) + body


def mqtt_dialogue(rng):
    version = rng.choice((4, 5))
    nothing = write_properties({}) if version == 5 else b""
    user = rng.choice(PEOPLE + ["nobody"])
    topics = ["chat/rooms/general/send", "chat/users/%s/send" % rng.choice(PEOPLE), "chat/rooms/r1/send", "chat/rooms/general",
              "chat/users/%s/inbox" % user, "chat/sync", "other/topic", "chat/users/x/send"]
    flags = 0x82
    payload = string("fuzz-%d" % rng.randrange(40))
    if rng.random() < .2:
        flags |= 0x04 | rng.randrange(3) << 3
        payload += nothing + string(rng.choice(topics)) + string(b'{"message":"will"}')
    pieces = [packet(0x10, string("MQTT") + bytes([version, flags]) + struct.pack("!H", 60) + nothing + payload + string(user))]
    for mid in range(1, rng.randrange(2, 12)):
        number = struct.pack("!H", mid)
        kind = rng.randrange(8)
        if kind < 5:
            qos = rng.randrange(3)
            user_properties = write_properties({"user": [("origin", "0.1")]}) if version == 5 and rng.random() < .3 else nothing
            body = string(rng.choice(topics)) + (number if qos else b"") + user_properties
            pieces.append(packet(0x30 | qos << 1 | rng.randrange(2), body + json.dumps(json_frames(rng)).encode()))
            if qos == 2:
                pieces.append(packet(0x62, number))
        elif kind == 5:
            topic = rng.choice(topics + ["chat/#", "$share/g/chat/+/+", "chat/users/+/presence", "#"])
            pieces.append(packet(0x82, number + nothing + string(topic) + bytes([rng.randrange(3)])))
        elif kind == 6:
            pieces.append(packet(0xa2, number + nothing + string(rng.choice(topics))))
        else:
            pieces.append(packet(0xc0, b""))
    if rng.random() < .5:
        pieces.append(packet(0xe0, b""))
    return pieces


# mutation

def mutate_bytes(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        if not data:
            break
        at = rng.randrange(len(data))
        kind = rng.randrange(6)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at] = rng.choice((0, 1, 0x7f, 0x80, 0xff, 10, 13, 32, 34, 47))
        elif kind == 2:
            del data[at:at + rng.randrange(1, 9)]
        elif kind == 3:
            data[at:at] = rng.randbytes(rng.randrange(1, 9))
        elif kind == 4:
            data[at:at] = data[at:at + rng.randrange(1, 33)]
        else:
            del data[at:]
    return bytes(data)


def mutate(rng, pieces):
    pieces = list(pieces)
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(pieces))
        kind = rng.randrange(6)
        if kind <= 2:
            pieces[at] = mutate_bytes(rng, pieces[at])
        elif kind == 3:
            pieces.insert(at, rng.choice(pieces))
        elif kind == 4 and len(pieces) > 1:
            del pieces[at]
        else:
            other = rng.randrange(len(pieces))
            pieces[at], pieces[other] = pieces[other], pieces[at]
    return pieces


def play(rng, port, pieces):
    """Sends the pieces, cut anew, reads what is there now and then, and leaves in one way or another."""
    data = b"".join(pieces)
    how = rng.randrange(4)
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(0.02)
        if how == 0:
            parts = pieces
        elif how == 1:
            parts = [data]
        else:
            step = rng.choice((1, 7, 64, 1000))
            parts = [data[at:at + step] for at in range(0, min(len(data), 200 * step), step)]
        for part in parts:
            sock.sendall(part)
            if rng.random() < .1:
                with contextlib.suppress(TimeoutError):
                    sock.recv(65536)
        if rng.random() < .5:
            with contextlib.suppress(TimeoutError):
                while sock.recv(65536):
                    pass
        if rng.random() < .2:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def answers(server, pids, n):
    """Same processes, and both ways carry a message."""
    assert server.process.poll() is None, "the broker has ended with %r" % server.process.returncode
    assert server.bridge_pids() == pids, "another bridge: %r, was %r" % (server.bridge_pids(), pids)
    room = "check-%d" % n
    reader = server.mqtt("reader@chat.test").read_room(room)
    session = server.ws("writer@chat.test", rooms=[room])
    session.send({"message": "over WebSocket", "ref": room})
    session.expect_ack(room)
    reader.expect_message("over WebSocket", "writer@chat.test")
    reader.send({"message": "over MQTT"}, room=room)
    session.expect_message("over MQTT", "reader@chat.test")
    assert server.http("GET", "/health").status == 200
    server.close_clients()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--dialogues", type=int, default=1000000)
    parser.add_argument("--batch", type=int, default=100)
    args = parser.parse_args()
    server = Broker(options={"max_sessions_per_user": "10000"})
    server.options["history_file"] = os.path.join(server.folder, "chat.db")
    server.allow(".*")  # all that is surprising is meant to be here; findings are not
    server.start()
    pids, played, batches, problem = server.bridge_pids(), 0, 0, None
    end = time.monotonic() + args.seconds
    try:
        while time.monotonic() < end and played < args.dialogues and problem is None:
            for _ in range(min(args.batch, args.dialogues - played)):
                # one generator a dialogue, so that each can be played alone
                rng = random.Random("%d.%d" % (args.seed, played))
                make, port = rng.choice([(websocket_dialogue, server.ws_port), (websocket_dialogue, server.ws_port),
                                         (http_dialogue, server.ws_port), (mqtt_dialogue, server.mqtt_port)])
                play(rng, port, mutate(rng, make(rng)))
                played += 1
            batches += 1
            try:
                answers(server, pids, batches)
            except (AssertionError, OSError) as error:
                problem = "after dialogue %d of seed %d: %s" % (played, args.seed, error)
    finally:
        problems = server.finish()
    if problem is not None:
        problems.insert(0, problem)
    for line in problems:
        print(line)
    if problems:
        print(server.tail[-6000:])
    print("%d dialogues in %d batches, seed %d: %s" % (played, batches, args.seed, "FAILED" if problems else "fine"))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
