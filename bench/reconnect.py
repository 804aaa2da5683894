#!/usr/bin/python3
"""A crowd comes back at once: N sessions reconnect within a second with `since`, while two people chat.

usage: bench/reconnect.py [--sessions 1000] [--missed 200] [--within 1.0] [--bytes 128] [--fanout shared]

Starts a broker of its own with history (CHAT_BUILD_DIR as for the tests). Prints when the last session had all
of its replay (and live messages behind it), what was missing, doubled or out of order, and the latency
of the pair before and during the storm. Crowd and pair are processes of their own; all share the machine.
"""

import argparse
import asyncio
import multiprocessing
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "integration"))
sys.dont_write_bytecode = True

from harness.broker import Broker  # noqa: E402

UPGRADE = ("GET /ws/%s HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n")


class Session(asyncio.Protocol):
    """Reads frames, hands their payloads to on_frame; sends text frames."""

    def __init__(self, target, on_frame):
        self.target, self.on_frame = target, on_frame
        self.buffer, self.open = bytearray(), False

    def connection_made(self, transport):
        self.transport = transport
        transport.write((UPGRADE % self.target).encode())

    def send(self, payload):
        n = len(payload)
        head = bytes([0x81, 0x80 | n]) if n < 126 else bytes([0x81, 0xfe, n >> 8, n & 255])
        self.transport.write(head + b"\0\0\0\0" + payload)

    def data_received(self, data):
        buffer = self.buffer
        buffer += data
        if not self.open:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            if not buffer.startswith(b"HTTP/1.1 101"):
                raise SystemExit("refused: %r" % bytes(buffer[:60]))
            self.open = True
            del buffer[:end + 4]
        at = 0
        while len(buffer) - at >= 2:
            n, size = buffer[at + 1] & 127, 2
            if n == 126:
                n, size = int.from_bytes(buffer[at + 2:at + 4], "big"), 4
            elif n == 127:
                n, size = int.from_bytes(buffer[at + 2:at + 10], "big"), 10
            if len(buffer) - at < size + n:
                break
            if buffer[at] & 15 == 1:
                self.on_frame(bytes(buffer[at + size:at + size + n]))
            at += size + n
        del buffer[:at]


def number(frame):
    """The n of a message of ours: "message":"n xxx…"."""
    at = frame.find(b'"message":"') + 11
    return int(frame[at:frame.index(b" ", at)])


def crowd(port, o, since, result):
    async def main():
        loop = asyncio.get_running_loop()
        done, waiting, faults = [], o.sessions, {"missing": 0, "doubled": 0, "disordered": 0, "incomplete": 0}
        over = loop.create_future()

        def reader():
            seen, last, ends = set(), -1, 0

            def on_frame(frame):
                nonlocal last, ends, waiting
                if frame.startswith(b'{"id"'):
                    n = number(frame)
                    faults["doubled"] += n in seen
                    faults["disordered"] += n < last
                    seen.add(n)
                    last = n
                elif b'"recovered"' in frame:
                    faults["incomplete"] += b'"complete":true' not in frame
                    ends += 1
                    if ends == 2:
                        first = o.written - o.missed
                        faults["missing"] += len(set(range(first, last + 1)) - seen)
                        done.append(time.monotonic())
                        waiting -= 1
                        if waiting == 0 and not over.done():
                            over.set_result(None)
            return on_frame
        start = time.monotonic()
        result.put(("started", start))
        for i in range(o.sessions):
            pause = start + i * o.within / o.sessions - time.monotonic()
            if pause > 0:
                await asyncio.sleep(pause)
            target = "crowd%d@bench.example?since=%s" % (i, since)
            await loop.create_connection(lambda: Session(target, reader()), "127.0.0.1", port)  # noqa: B023
        connected = time.monotonic()
        await asyncio.wait_for(over, 120)
        result.put(("done", connected - start, sorted(t - start for t in done), faults))
    asyncio.run(main())


def pair(port, o, result):
    """One writes every 20 ms, the other reads; latencies with their times."""
    async def main():
        loop = asyncio.get_running_loop()
        latencies, sent = [], {}

        def on_frame(frame):
            at = frame.find(b'"message":"ping ')
            if at >= 0:
                n = int(frame[at + 16:frame.index(b'"', at + 16)])
                latencies.append((sent[n], time.monotonic() - sent[n]))
        _, writer = await loop.create_connection(lambda: Session("ann@bench.example?room=two", lambda _: None), "127.0.0.1", port)
        await loop.create_connection(lambda: Session("ben@bench.example?room=two", on_frame), "127.0.0.1", port)
        await asyncio.sleep(0.5)
        due = time.monotonic()
        for n in range(int(o.seconds * 50)):
            due += 0.02
            await asyncio.sleep(max(0, due - time.monotonic()))
            sent[n] = time.monotonic()
            writer.send(b'{"message":"ping %d"}' % n)
        await asyncio.sleep(0.5)
        result.put(("pair", len(sent), latencies))
    asyncio.run(main())


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


def show(name, values):
    print("%s: %d messages, p50 %.1f ms, p99 %.1f ms, max %.1f ms" % (
        name, len(values), *(1000 * percentile(values, p) for p in (0.5, 0.99, 1))))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--missed", type=int, default=200, help="messages that each of them has missed")
    parser.add_argument("--within", type=float, default=1.0, help="seconds in which they redial")
    parser.add_argument("--bytes", type=int, default=128, help="of each text")
    parser.add_argument("--fanout", default="shared")
    o = parser.parse_args()
    o.written, o.seconds = o.missed + 50, 14
    broker = Broker(options={"fanout": o.fanout, "max_sessions": "20000"})
    broker.options["history_file"] = os.path.join(broker.folder, "chat.db")
    broker.start()
    try:
        reader = broker.mqtt("reader@bench.example").read_room()
        author = broker.mqtt("author@bench.example")
        for n in range(o.written):
            author.send({"message": "%d %s" % (n, "x" * o.bytes)})
            frame = reader.next()
            if n == o.written - o.missed - 1:
                since = frame["id"]
        results = multiprocessing.Queue()
        two = multiprocessing.Process(target=pair, args=(broker.ws_port, o, results))
        two.start()
        time.sleep(4)
        many = multiprocessing.Process(target=crowd, args=(broker.ws_port, o, since, results))
        many.start()
        got = {}
        while len(got) < 3:
            name, *values = results.get(timeout=180)
            got[name] = values
        many.join()
        two.join()
        [start], [connected, done, faults] = got["started"], got["done"]
        sent, latencies = got["pair"]
        print("%d sessions, %d messages missed each, %d bytes of text, fanout %s" % (o.sessions, o.missed, o.bytes, o.fanout))
        print("connected in %.2f s; recovered: median %.2f s, last %.2f s after the first redial" % (
            connected, percentile(done, 0.5), done[-1]))
        print("faults: " + ", ".join("%s %d" % pair for pair in faults.items()))
        show("pair before", [took for at, took in latencies if at < start])
        show("pair during", [took for at, took in latencies if start <= at <= start + done[-1]])
        print("pair lost: %d" % (sent - len(latencies)))
        return 1 if sum(faults.values()) or sent != len(latencies) else 0
    finally:
        problems = broker.finish()
        if problems:
            print("\n".join(problems[:5]))


sys.exit(main())
