"""mosquitto's dynamic security plugin beside ours, in both orders: its accounts, its answers and its rules are unchanged."""

import json
import os
import subprocess

import pytest

from stage import Config, Stage, at_once, compare

DYNSEC = next((path for path in ("/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so",
                                 "/usr/lib/aarch64-linux-gnu/mosquitto_dynamic_security.so",
                                 "/usr/lib/mosquitto_dynamic_security.so") if os.path.exists(path)), None)
pytestmark = pytest.mark.skipif(DYNSEC is None, reason="no dynamic security plugin here")
CONTROL = "$CONTROL/dynamic-security/v1"


def rule(kind, topic, allow, priority=0):
    return {"acltype": kind, "topic": topic, "allow": allow, "priority": priority}


COMMANDS = [
    [{"command": "getDefaultACLAccess"}, {"command": "listClients", "verbose": False}, {"command": "listRoles", "verbose": False}],
    [{"command": "createClient", "username": "alice", "password": "rabbit", "textname": "Alice"},
     {"command": "createClient", "username": "bob@example.com", "password": "builder"},
     {"command": "createClient", "username": "carol", "password": "x", "clientid": "only-this"},
     {"command": "createClient", "username": "alice", "password": "again"}, {"command": "createGroup", "groupname": "team"}],
    [{"command": "createRole", "rolename": "hers", "acls": [
        rule("publishClientSend", "hers/#", True), rule("publishClientReceive", "hers/#", True), rule("subscribePattern", "hers/#", True),
        rule("publishClientSend", "hers/not", False, 5), rule("unsubscribePattern", "hers/#", True)]},
     {"command": "createRole", "rolename": "names", "acls": [
         rule("publishClientSend", "by/%u/#", True), rule("publishClientReceive", "by/#", True), rule("subscribeLiteral", "by/+/x", True)]},
     {"command": "addClientRole", "username": "alice", "rolename": "hers"}, {"command": "addGroupRole", "groupname": "team", "rolename": "names"},
     {"command": "addGroupClient", "groupname": "team", "username": "bob@example.com"},
     {"command": "setAnonymousGroup", "groupname": "team"}, {"command": "getAnonymousGroup"}],
    [{"command": "getClient", "username": "alice"}, {"command": "getRole", "rolename": "hers"}, {"command": "getGroup", "groupname": "team"},
     {"command": "listGroups", "verbose": True}, {"command": "noSuchCommand"}, {"command": "getClient", "username": "nobody"}],
]
LATER = [
    [{"command": "disableClient", "username": "carol"}, {"command": "removeRoleACL", "rolename": "hers", "acltype": "publishClientReceive", "topic": "hers/#"}],
    [{"command": "setClientPassword", "username": "alice", "password": "new"}, {"command": "deleteClient", "username": "bob@example.com"}],
    [{"command": "setDefaultACLAccess", "acls": [{"acltype": kind, "allow": True} for kind in (
        "publishClientSend", "publishClientReceive", "subscribe", "unsubscribe")]}, {"command": "getDefaultACLAccess"}],
]
WHO = (("guest", None, None, None), ("alice", "alice", "rabbit", None), ("bob", "bob@example.com", "builder", None),
       ("carol", "carol", "x", "only-this"), ("other carol", "carol", "x", None), ("wrong", "alice", "wrong", None), ("bare", "alice", None, None),
       ("stranger", "stranger@example.com", "x", None), ("alice anew", "alice", "new", None))


def command(admin, commands):
    admin.publish(CONTROL, json.dumps({"commands": commands}), qos=1)
    admin.settle()


def people(t, round):
    peers = []
    for who, name, password, client_id in WHO:
        a = t.client("%s %d" % (who, round), user=name, password=password, **({"client_id": client_id} if client_id else {}))
        if a.refused:
            continue
        a.subscribe(("hers/#", 1)).subscribe(("by/+/x", 1), ("hers/x", 2)).subscribe(("$share/g/hers/x", 1)).subscribe(("#", 0)).subscribe(
            (CONTROL + "/response", 1), ("$SYS/broker/version", 0))
        for topic in ("hers/x", "hers/not", "by/alice/x", "by/bob@example.com/x", "elsewhere/x", "chats/x", CONTROL):
            a.publish(topic, "%s" % who, qos=1)
        a.publish("hers/kept", who, qos=2, retain=True)
        peers.append(a)
    for a in peers:
        a.settle()
    for a in peers:
        a.unsubscribe("hers/#", "by/+/x", "#", "elsewhere").settle()
    return peers


def play(host):
    t = Stage(host.mqtt_port, "dynsec", 5)
    try:
        admin = t.client("admin", user="admin", password="secret").subscribe((CONTROL + "/response", 1))
        for commands in COMMANDS:
            command(admin, commands)
        here = people(t, 1)
        for commands in LATER[:2]:
            command(admin, commands)
        for one in here:
            one.settle()
        people(t, 2)
        command(admin, LATER[2])
        people(t, 3)
        said = len(host.log())
        host.hup()
        host.wait_log("Reloading config", since=said)
        admin.settle()
        command(admin, [{"command": "listClients", "verbose": True}, {"command": "listRoles", "verbose": True}])
    finally:
        t.close()
    return t.transcript()


def control_program(host):
    """mosquitto_ctrl's answers."""
    lines = []
    for words in (["listClients"], ["createClient", "dora", "-p", "x"], ["getClient", "dora"], ["createRole", "r"], ["addRoleACL", "r", "subscribeLiteral", "a/b", "allow", "1"],
                  ["getRole", "r"], ["addClientRole", "dora", "r", "1"], ["getDefaultACLAccess"], ["deleteClient", "dora"], ["getClient", "dora"]):
        done = subprocess.run(["mosquitto_ctrl", "-h", "127.0.0.1", "-p", str(host.mqtt_port), "-u", "admin", "-P", "secret", "dynsec", *words],
                              capture_output=True, text=True, timeout=30)
        lines += ["%s: %d" % (" ".join(words), done.returncode), done.stdout, done.stderr]
    return lines


def plugin_lines(folder):
    path = os.path.join(folder, "dynsec.json")
    subprocess.run(["mosquitto_ctrl", "dynsec", "init", path, "admin", "secret"], check=True, stdout=subprocess.DEVNULL)
    return ["plugin " + DYNSEC, "plugin_opt_config_file " + path]


def broker(hosts, order, anonymous):
    host = hosts(Config(["allow_anonymous " + anonymous]), order != "alone", start=False)
    lines = plugin_lines(host.folder)
    if order == "chat first":
        host.plugin_lines += lines
    else:
        host.earlier += lines
    return host.start()


@pytest.mark.parametrize("anonymous", ["true", "false"])
def test_beside_dynamic_security(hosts, anonymous):
    orders = ("alone", "chat first", "dynsec first")
    three = [broker(hosts, order, anonymous) for order in orders]
    ours = at_once(*[lambda host=host: play(host) for host in three])
    assert sum("PUBLISH $CONTROL" in line for line in ours[0]) > 5
    for other in ours[1:]:
        compare(ours[0], other)
    programs = at_once(*[lambda host=host: control_program(host) for host in three])
    for other in programs[1:]:
        compare(programs[0], other)
