"""Who may read and write what, where the operator's password_file and acl_file have the say."""

from stage import ACCOUNTS, dialogue

RULED = ("open", "accounts", "accounts, open", "accounts, guests with rules", "rules", "closed", "mounted")
TOPICS = ("open/{id}", "news/{id}", "own/alice/{id}", "own/alice/secret", "drop/{id}", "byname/alice/{id}", "byname/bob@example.com/{id}",
          "byid/{own}/{id}", "byid/other/{id}", "elsewhere/{id}", "Chat/{id}", "chats/{id}", "$SYS/broker/version", "tenant/{id}", "own/+/{id}", "#",
          "$share/g/open/{id}", "$share/g/elsewhere/{id}")
WHO = (("guest", None, None),) + tuple((name.split("@")[0], name, password) for name, password in ACCOUNTS) + (
    ("stranger", "stranger", "x"), ("strange address", "stranger@example.com", "x"))


def fill(t, text, who):
    return text.format(id=t.id("x"), own=t.id(who))


@dialogue(configs=RULED)
def who_may_connect(t):
    for who, name, password in WHO:
        t.client(who, user=name, password=password).settle().disconnect()
        t.client(who + " wrong", user=name, password="wrong" if name else None).settle().disconnect()
        t.client(who + " bare", user=name).settle().disconnect()


@dialogue(configs=RULED)
def who_may_write(t):
    reader = t.client("reader", user="alice", password="rabbit")
    if not reader.over:
        reader.subscribe(("open/#", 1), ("own/#", 1), ("byname/#", 1), ("byid/#", 1), ("elsewhere/#", 1), ("drop/#", 1), ("chats/#", 1))
    for who, name, password in WHO:
        for one in TOPICS[:14]:
            for qos in (0, 1, 2):
                a = t.client(who, user=name, password=password)
                a.publish(fill(t, one, who), "%s %d" % (who, qos), qos=qos).settle()
                a.socket.close()
    reader.settle()
    # The retained ones of other dialogues are none of this one's.
    reader.lines[:] = [line for line in reader.lines if "PUBLISH" not in line or t.id("") in line]


@dialogue(configs=RULED)
def who_may_retain(t):
    for who, name, password in WHO:
        w = t.client(who, user=name, password=password)
        for one in TOPICS[:12]:
            w.publish(fill(t, one, who) + "/kept", who, qos=1, retain=True)
    for who, name, password in WHO:
        r = t.client("reader " + who, user=name, password=password)
        r.subscribe(*[(fill(t, one, who) + "/kept", 1) for one in TOPICS[:12]]).settle()


@dialogue(configs=RULED)
def who_may_subscribe(t):
    readers = []
    for who, name, password in WHO:
        r = t.client(who, user=name, password=password)
        for one in TOPICS:
            r.subscribe((fill(t, one, who), 0 if one == "#" else 1)).settle()
        readers.append(r)
    w = t.client("writer", user="alice", password="rabbit")
    for one in TOPICS[:12]:
        w.publish(fill(t, one, "writer"), "for whoever may read", qos=1)
    for r in readers:
        r.settle()
        # "#" brings other dialogues' retained messages; what is this one's has its name in it.
        r.lines[:] = [line for line in r.lines if "PUBLISH" not in line or t.id("") in line or "$SYS" in line]


@dialogue(configs=RULED)
def whose_wills_are_sent(t):
    observer = t.client("observer", user="alice", password="rabbit")
    observer.subscribe(("open/#", 1), ("own/#", 1), ("elsewhere/#", 1))
    for who, name, password in WHO:
        for one in ("open/{id}", "own/alice/{id}", "elsewhere/{id}", "$SYS/broker/{id}", "$CONTROL/{id}/v1"):
            a = t.client(who, user=name, password=password, will=(fill(t, one, who), "will of " + who, 1, False))
            a.disconnect(code=4) if t.version == 5 and not a.over else a.cut()
            t.client("after", client_id=t.id(who), user=name, password=password).settle().disconnect()
    observer.settle()
    observer.lines[:] = [line for line in observer.lines if "PUBLISH" not in line or t.id("") in line]


@dialogue(configs=("accounts", "rules", "open"))
def queued_for_somebody_with_rules(t):
    reader = {"client_id": t.id("reader"), "clean": False, "user": "alice", "password": "rabbit", "properties": {"session-expiry-interval": 100}}
    t.client("first", **reader).subscribe(t.topic("#"), "open/" + t.id("#"), "own/#").disconnect()
    w = t.client("writer", user="alice", password="rabbit")
    for qos in (0, 1, 2):
        w.publish("own/alice/" + t.id("x"), "queued", qos=qos).publish("own/alice/secret", "never", qos=qos).publish(t.topic("x"), "?", qos=qos)
    r = t.client("second", **reader).settle()
    r.lines[:] = [line for line in r.lines if "PUBLISH" not in line or t.id("") in line]
