"""The table of what is measured: scenarios, their variants and their targets. Times in seconds.

A scenario's variants are run by turns, A B C A B C …, `rounds` times. "of b" and the like in a target are taken within
each round and then the median, so that what a machine does meanwhile strikes both sides.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Variant:
    """One server under one load. label: its name in results, where the server's own does not do."""

    server: str
    label: str = ""
    load: dict = field(default_factory=dict)     # over the scenario's
    options: dict = field(default_factory=dict)  # ours: plugin_opt_…
    x: float = 0                                 # growth: where it stands on the axis

    @property
    def name(self):
        return self.label or self.server


@dataclass(frozen=True)
class Target:
    """What is wanted of one variant's metric, alone or divided by another's."""

    text: str
    metric: str
    at_least: float = None
    at_most: float = None
    variant: str = "ours"
    by: str = ""         # variant to divide by …
    by_metric: str = ""  # … where another metric than the same
    broker: str = ""     # only where ours ran in a mosquitto of this release

    def met(self, value):
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    variants: tuple
    load: dict
    targets: tuple = ()
    metrics: tuple = ("deliveries", "p50", "p99", "cpu", "cost")
    rounds: int = 5
    pair: bool = False   # a pair of MQTT clients is measured without and with the load
    axis: str = ""       # growth: what x is


def servers(*names):
    return tuple(Variant(name) for name in names)


def closed(readers, outstanding, **more):
    return {"readers": readers, "authors": 1, "outstanding": outstanding, "seconds": 3, "warmup": 1, **more}


def everybody(sessions, rate, **more):
    return {"readers": 0, "authors": sessions, "rate": rate, "seconds": 4, "warmup": 1, **more}


def idle(sessions, seconds, warmup=0):
    return {"readers": sessions, "authors": 0, "seconds": seconds, "warmup": warmup}


B = closed(999, 8)

TABLE = (
    Scenario(
        "b", "1000 sessions, one author, 8 messages outstanding",
        servers("ours", "mosquitto", "nchan", "ws", "aedes", "bun", "fastapi", "fastapi-uvloop", "ideal"), B,
        (Target("at least 900 k deliveries/s", "deliveries", at_least=900e3),
         Target("7 x mosquitto's WebSocket listener", "deliveries", at_least=7, by="mosquitto"),
         Target("7 x nchan", "deliveries", at_least=7, by="nchan"),
         Target("10 x Node ws", "deliveries", at_least=10, by="ws"),
         Target("20 x FastAPI (asyncio)", "deliveries", at_least=20, by="fastapi"))),
    Scenario(
        "b64", "1000 sessions, one author, 64 messages outstanding", servers("ours", "bun", "ideal"), closed(999, 64),
        (Target("at least 1.8 M deliveries/s", "deliveries", at_least=1.8e6),)),
    Scenario(
        "b5k", "5000 sessions against 1000, one author, 8 messages outstanding",
        (Variant("ours", "1000"), Variant("ours", "5000", {"readers": 4999})), B,
        (Target("at least 0.9 of b", "deliveries", at_least=0.9, variant="5000", by="1000"),)),
    Scenario(
        "d", "200 sessions, all sending, 1000 messages/s in, 200 k/s out",
        servers("ours", "mosquitto", "nchan", "ws", "bun", "ideal"), everybody(200, 1000),
        (Target("p50 at most 2 ms", "p50", at_most=2000),
         Target("p99 at most 6 ms", "p99", at_most=6000),
         Target("at most 0.75 core of bridge + broker", "cpu", at_most=0.75)),
        ("deliveries", "p50", "p99", "cpu", "cost", "delay")),
    Scenario(
        "d4", "200 sessions, all sending, 4000 messages/s in, 800 k/s out", servers("ours", "bun", "ideal"),
        everybody(200, 4000),
        (Target("kept up with: at least 0.99 of 796 k deliveries/s", "deliveries", at_least=0.99 * 4000 * 199),
         Target("p50 at most 4 ms", "p50", at_most=4000)),
        ("deliveries", "p50", "p99", "cpu", "cost", "delay")),
    Scenario(
        "a", "100 sessions, all sending, 500 messages/s in", servers("ours", "ideal", "mosquitto", "ws"),
        everybody(100, 500),
        (Target("p50 within 1.15 of the minimal C server", "p50", at_most=1.15, by="ideal"),
         Target("p99 within 1.3 of it", "p99", at_most=1.3, by="ideal")),
        ("deliveries", "p50", "p99", "cpu", "cost", "delay")),
    Scenario(
        "c", "5000 connects, then nothing", servers("ours", "mosquitto", "ws", "bun"), idle(5000, 1),
        (Target("at least 10 k connects/s", "connects", at_least=10e3),
         Target("at most 7 KB a session", "memory", at_most=7 * 1024, broker="2.0"),
         Target("at most 11 KB a session", "memory", at_most=11 * 1024, broker="2.1")),
        ("connects", "memory", "peak")),
    # As long as it is from one ping of a session to the next: plugin_opt_ping_interval (25 s) after the last pong, and sessions
    # are looked at every five seconds.
    Scenario(
        "idle", "5000 idle sessions, pings included", servers("ours"), idle(5000, 29, warmup=2),
        (Target("0.1 % of a core", "cpu", at_most=0.001),), ("cpu", "memory"), rounds=3),
    Scenario(
        "mqtt", "a plain MQTT publisher and subscriber (200 messages/s) without and with b beside them",
        servers("ours"), closed(999, 8, seconds=6, warmup=0.5),
        (Target("p99 with b at most 3 x without", "pair_during_p99", at_most=3, by="ours",
                by_metric="pair_alone_p99"),),
        ("pair_alone_p50", "pair_alone_p99", "pair_during_p50", "pair_during_p99", "pair_lost", "deliveries"), pair=True),
    Scenario(
        "tls", "b over wss against b", servers("ours", "ours-tls"), B,
        (Target("at least 0.5 of plain", "deliveries", at_least=0.5, variant="ours-tls", by="ours"),)),
)


def growth(name, title, axis, load, points, metrics=("deliveries", "p50", "p99", "cpu", "cost")):
    """points: x → (load, options)"""
    variants = tuple(Variant("ours", "%g" % x, *settings, x=x) for x, settings in points.items())
    return Scenario(name, title, variants, load, (), metrics, rounds=2, axis=axis)


GROWTH = (
    growth("g-sessions", "b with more sessions", "sessions", B,
           {n: ({"readers": n - 1},) for n in (10, 100, 1000, 5000)}),
    growth("g-rate", "d with more messages", "messages/s in", everybody(200, 1000, seconds=3),
           {n: ({"rate": n},) for n in (100, 500, 1000, 2000, 4000)}),
    growth("g-rooms", "1000 sessions in more rooms, one author in each, 8 messages outstanding each", "rooms", B,
           {n: ({"rooms": n, "authors": n, "readers": 1000 - n},) for n in (1, 10, 100)}),
    growth("g-bridges", "b with more bridges", "bridges", B, {n: ({}, {"bridges": n}) for n in (1, 2, 3, 4)}),
    growth("g-size", "b with longer texts", "bytes of a text", B,
           {n: ({"size": n}, {"max_message_chars": 65000}) for n in (16, 64, 256, 1024, 4096, 16384)},
           ("deliveries", "megabytes", "p50", "p99", "cpu", "cost")),
)

ALL = {scenario.name: scenario for scenario in TABLE + GROWTH}
NAMES = {"growth": [scenario.name for scenario in GROWTH], "table": [scenario.name for scenario in TABLE]}
