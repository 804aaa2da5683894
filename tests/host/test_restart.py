"""The broker's database, SIGHUP and the log: as without the plugin, and a plugin may come and go between two starts."""

import re
import subprocess

import pytest

from harness.broker import MOSQUITTO
from stage import CONFIGS, RULES, Config, Stage, at_once, compare, perform, registered

PERSISTENT = Config(["allow_anonymous true", "persistence true", "persistence_location {folder}/", "queue_qos0_messages true",
                     "autosave_interval 1800", "retain_available true"])


def before_restart(t):
    """Retained messages, a session with a queue, one with an unfinished flow, one that is to expire, a shared subscription."""
    away = {"clean": False, "properties": {"session-expiry-interval": 1000}}
    t.client("queue", **away).subscribe((t.topic("q/#"), 2), properties={"subscription-identifier": 9}).subscribe(
        ("$share/g/" + t.topic("shared"), 1)).disconnect()
    t.client("gone", **away).subscribe(t.topic("q/#")).disconnect(*((0, {"session-expiry-interval": 0}) if t.version == 5 else ()))
    w = t.client("writer")
    for qos in (0, 1, 2):
        w.publish(t.topic("q/%d" % qos), "queued %d" % qos, qos=qos, properties={
            "user": [("b", "1"), ("a", "2")], "content-type": "x", "response-topic": t.topic("r"), "correlation-data": b"\x00\x01"})
        w.publish(t.topic("kept/%d" % qos), "kept %d" % qos, qos=qos, retain=True, properties={"user": [("k", "v")]})
    w.publish(t.topic("kept/0"), "", retain=True).publish(t.topic("shared"), "shared", qos=1)
    w.publish(t.topic("q/long"), "z" * 70000, qos=1, properties={"message-expiry-interval": 100000})
    half = t.client("half", **away).subscribe((t.topic("half"), 2))
    half.acks = False
    w.publish(t.topic("half"), "one", qos=2).publish(t.topic("half"), "two", qos=1).publish(t.topic("half"), "three", qos=2)
    half.settle().ack("PUBREC", 1).settle().cut()
    author = t.client("author", **away)
    author.publish(t.topic("half"), "not released", qos=2, mid=40, wait=False).until("PUBREC")
    author.cut()
    w.settle()


def after_restart(t):
    away = {"clean": False, "properties": {"session-expiry-interval": 1000}}
    author = t.client("author", **away)
    author.pubrel(40).settle()
    for name in ("queue", "half", "gone"):
        t.client(name, **away).settle()
    w = t.client("writer")
    w.publish(t.topic("q/new"), "after", qos=2)
    for one in t.peers[1:4]:
        one.settle()
    t.client("late").subscribe((t.topic("#"), 1)).settle()


def play(host, part, version):
    stage = Stage(host.mqtt_port, "restart", version, loaded=host.loaded)
    try:
        part(stage)
    finally:
        stage.close()
    return stage.transcript()


@pytest.mark.parametrize("version", [4, 5])
def test_restart(hosts, version):
    """All four ways: what one has saved the other goes on with, in the same words."""
    ways = [(first, then) for first in (False, True) for then in (False, True)]
    made = [hosts(PERSISTENT, first).can_switch() for first, _ in ways]
    ours = at_once(*[lambda host=host: play(host, before_restart, version) for host in made])
    for host, (_, then) in zip(made, ways):
        # Here, for a broker dies with the thread that has started it.
        assert host.terminate() == 0
        host.switch(then)
        host.start()
    later = at_once(*[lambda host=host: play(host, after_restart, version) for host in made])
    ours = [one + two for one, two in zip(ours, later)]
    assert any("not released" in line for line in ours[0]) and any("queued 2" in line for line in ours[0])
    for other in ours[1:]:
        compare(ours[0], other)


NEW_ACCOUNTS = (("alice", "rabbit"), ("bob@example.com", "changed"), ("dora", "new"))
NEW_RULES = RULES.replace("topic read news/#", "topic readwrite news/#").replace("own/alice/secret", "own/alice/other")


def reloaded(host, then):
    stage = Stage(host.mqtt_port, "reload", 5, loaded=host.loaded)
    try:
        people = {who: stage.client(who, user=name, password=password) for who, name, password in (
            ("alice", "alice", "rabbit"), ("bob", "bob@example.com", "builder"), ("carol", "carol", "c a r o l"))}
        stage.client("away", clean=False, user="alice", password="rabbit", properties={"session-expiry-interval": 1000}).subscribe(
            "open/#", "own/alice/#").disconnect()
        for one in people.values():
            one.subscribe("open/#", "news/#", "own/alice/#")
        said = len(host.log())
        then(host)
        host.hup()
        host.wait_log(r"Reloading config", since=said)
        stage.client("witness", user="alice", password="rabbit").settle()
        for one in people.values():
            one.settle()
        for one in people.values():
            if not one.over:
                for topic in ("open/x", "news/x", "own/alice/secret", "own/alice/other", "elsewhere"):
                    one.publish(topic, one.name, qos=1)
        for one in people.values():
            one.settle()
        for who, name, password in (("old bob", "bob@example.com", "builder"), ("new bob", "bob@example.com", "changed"),
                                    ("carol again", "carol", "c a r o l"), ("dora", "dora", "new"), ("guest", None, None)):
            stage.client(who, user=name, password=password).settle()
        stage.client("back", client_id=stage.id("away"), clean=False, user="alice", password="rabbit").settle()
    finally:
        stage.close()
    return stage.transcript()


def change_all(host):
    host.write_accounts(NEW_ACCOUNTS)
    with open(host.paths["rules"], "w") as f:
        f.write(NEW_RULES)


def change_nothing(host):
    assert host.loaded in (True, False)


def open_to_guests(host):
    with open(host.conf_path) as f:
        text = f.read()
    with open(host.conf_path, "w") as f:
        f.write(text.replace("allow_anonymous false", "allow_anonymous true"))


@pytest.mark.parametrize("change", [change_all, change_nothing, open_to_guests])
@pytest.mark.parametrize("config", ["accounts", "rules"])
def test_reload(hosts, config, change):
    pair = [hosts(CONFIGS[config], loaded) for loaded in (False, True)]
    compare(*at_once(*[lambda host=host: reloaded(host, change) for host in pair]))


def test_reload_twice(hosts):
    """Nothing is left behind that the next one trips over."""
    def twice(host):
        reloaded(host, change_nothing)
        return reloaded(host, change_all)

    pair = [hosts(CONFIGS["accounts"], loaded) for loaded in (False, True)]
    compare(*at_once(*[lambda host=host: twice(host) for host in pair]))


# What the log says of others

OWN = re.compile(r"^chat(-bridge)?\b|^Plugin mosquitto-chat |chat-bridge|chat\.sock|mosquitto_chat|^\tchat/|'chat/|plugin_opt_")
# What mosquitto says of the bridge's connections without saying whose they are: it stands below a line that does, or comes from
# set_tcp_nodelay, which it also tries on the unix listener.
OWN_TOO = ("No will message specified.", "Warning: Unable to set TCP_NODELAY.")


def log_lines(host):
    """Lines that are not the plugin's or about the bridge, without times, ports and made-up ids."""
    lines, own = [], False
    for line in host.log().splitlines():
        line = re.sub(r"^\d+: ", "", line)
        own = bool(OWN.search(line)) or (own and line in OWN_TOO) or line == OWN_TOO[1]
        if own or host.socket_path in line:
            continue
        line = line.replace(host.folder, "FOLDER").replace(str(host.mqtt_port), "PORT")
        line = re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", line)
        lines.append(re.sub(r"auto-[0-9A-F-]{36}", "auto-ID", line))
    return lines


LOGGED = ("plain_connect", "empty_client_id_clean", "user_names_of_all_kinds", "same_id_takes_over", "second_flow_step_by_step", "retained",
          "granted_qos", "bad_publishes", "packets_of_the_wrong_kind", "unsubscribe_codes", "will_with_properties", "queue_while_away",
          "who_may_connect", "who_may_subscribe", "who_may_retain")


@pytest.mark.parametrize("config", ["open", "accounts"])
def test_log_lines_of_others(hosts, config):
    pair = [hosts(CONFIGS[config], loaded) for loaded in (False, True)]
    cases = [one for one in registered if one.config == config and one.call.__name__ in LOGGED]
    assert len(cases) >= 8

    def run(host):
        for one in cases:
            perform(host, one)
        # The broker has noticed the end of each connection of the last one.
        here = set(re.findall(r" as (%s\S+) \(" % Stage(0, cases[-1].name).prefix, host.log()))
        for name in here:
            host.wait_log(r"^\d+: Client %s (\[\S+\] )?(closed|disconnected)" % re.escape(name))  # 2.1 adds the address
        return log_lines(host)

    without, loaded = at_once(*[lambda host=host: run(host) for host in pair])
    assert len(without) > 200
    # Sorted, for what two clients do at once stands there in either order.
    compare(sorted(without), sorted(loaded))


def test_configuration_check(hosts):
    """mosquitto --test-config, where this version has it."""
    if "--test-config" not in subprocess.run([MOSQUITTO, "-h"], capture_output=True, text=True).stdout:
        pytest.skip("this mosquitto has no --test-config")
    answers = []
    for loaded in (False, True):
        host = hosts(CONFIGS["accounts"], loaded, start=False)
        with open(host.conf_path, "w") as f:
            f.write(host.config())
        done = subprocess.run([MOSQUITTO, "--test-config", "-c", host.conf_path], capture_output=True, text=True, timeout=30)
        answers.append(done.returncode)
    assert answers == [0, 0]


def test_it_ends_at_sigterm(hosts):
    """With clients there and a will behind each: the same code, the same last words."""
    def end(host):
        # Its own, when its listeners are gone; without the plugin too.
        host.allow("Error in epoll re-registering")
        stage = Stage(host.mqtt_port, "end", 5)
        peers = [stage.client("p%d" % n, will=(stage.topic("w"), "x", 1, False)).subscribe(stage.topic("#")) for n in range(3)]
        stage.note("code %d" % host.terminate())
        for one in peers:
            one.end()
        return stage.transcript()

    compare(*at_once(*[lambda host=host: end(host) for host in [hosts(CONFIGS["open"], loaded) for loaded in (False, True)]]))
