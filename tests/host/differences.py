"""What is different on purpose for the broker's other users, by name: the table that docs/operations.md repeats.

Each has a dialogue; its test fails when the difference is gone or is another one. without, loaded: patterns that lines of
the transcripts have to match on one side and not on the other. Lines that match neither have to be equal.
"""

import collections

Difference = collections.namedtuple("Difference", "name why call without loaded only", defaults=(None,))


def topic_root(t):
    """The root is the chat's, and so is all below it."""
    a = t.client("a")
    a.subscribe(("chat", 1)).subscribe(("chat/x", 1)).subscribe(("chat/#", 1))
    for name in ("chat", "chat/x", "chat/rooms/general"):
        a.publish(name, "x", qos=1)
    a.settle()


def kept_names(t):
    for n, (client_id, user) in enumerate([("ws-1", None), ("chat-bridge-1", None), (t.id("x"), "$chat-bridge")]):
        t.client("n%d" % n, client_id=client_id, user=user)


def presence(t):
    """Whoever reads all topics under an address is shown who comes and goes."""
    a = t.client("a", user="reader@example.com").subscribe(("#", 0))
    a.lines.clear()
    a.own = True
    t.client("b", user="comes@example.com").publish(t.topic("x"), "x").settle()
    while not any("chat/users/comes@example.com/presence" in line for line in a.lines) and t.loaded:
        a.next()
    a.lines[:] = [" ".join(line.split(" ")[1:3]) for line in a.lines if "comes" in line]


def control(t):
    """mosquitto 2.0 without a plugin that has an API there takes such a publish and does nothing."""
    t.client("a").publish("$CONTROL/x/v1", "{}", qos=1).settle()


def counts(t):
    """The bridge's connection and its subscriptions are counted like any client's."""
    a = t.client("a").subscribe(("$SYS/broker/clients/connected", 0), ("$SYS/broker/subscriptions/count", 0), ("$SYS/broker/uptime", 0))
    # The first one may be retained, and the next may have been on its way; with the third we are counted.
    while sum("uptime" in line for line in a.lines) < 4 and a.next():
        pass
    a.settle()
    last = {line.split(" ")[1]: line.split(" ")[-1] for line in a.lines if line.startswith("PUBLISH") and "uptime" not in line}
    a.lines[:] = ["count %s %s" % one for one in sorted(last.items())]


DIFFERENCES = [
    Difference("topics of the chat", "`chat` and `chat/#` are the plugin's: it decides who reads and writes them", topic_root,
               r"a< (SUBACK mid=[12] codes=01|PUBACK mid=\d+( code=0x10)?|PUBLISH chat\S* .*)",
               r"a< (SUBACK mid=[12] codes=87|PUBACK mid=\d+ code=0x87)"),
    Difference("names that are kept", "a client id that begins with `ws-` or `chat-bridge-`, and the user name `$chat-bridge`, would pass for the "
               "bridge's own", kept_names, r"n\d< CONNACK present=0 code=0x00.*", r"n\d< CONNACK present=0 code=0x87"),
    Difference("presence", "who reads `#` under an address as user name also gets `chat/users/+/presence`, as chat clients do", presence,
               None, r"a< chat/users/comes@example.com/presence .*"),
    Difference("`$CONTROL`", "who may control the broker is not for a chat to say; mosquitto 2.0 offers \"no opinion\" only as a refusal where nobody "
               "else has one", control, r"a< PUBACK mid=1( code=0x10)?", r"a< PUBACK mid=1 code=0x87", (2, 0)),
    Difference("`$SYS` counts", "clients, subscriptions, retained messages and traffic include those of bridge and chat", counts,
               r"a< count .*", r"a< count .*"),
]
