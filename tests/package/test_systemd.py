"""The package under a real systemd: the service as its administrator sees it, and as systemd sees the chat."""

import os
import re
import resource
import signal
import subprocess

import pytest

from booted import BRIDGE, UNIT, Booted, Impossible
from harness.dialogue import wait_for
from harness.server import A, B
from machine import CONF
from test_package import ASIDE, REPO, activate

BROKER = "mosquitto"
DROP_IN = "/usr/lib/systemd/system/mosquitto.service.d/mosquitto-chat.conf"
WANTED = "524288"
END = (1001, 4003)  # whichever the bridge hears of first
SOON = 5.0          # seconds; a service manager that must kill waits for 90


@pytest.fixture
def booted(request):
    try:
        one = Booted(os.environ["CHAT_MACHINE"])
    except Impossible as e:
        pytest.skip("no systemd can be started here: %s" % e)
    request.node.chat_machine = one
    yield one
    one.finish()


@pytest.fixture
def chat(booted, deb):
    """Installed, with the example in force, and started by systemctl."""
    booted.install(deb)
    activate(booted)
    return booted.start_chat()


def most_descriptors():
    """What the drop-in asks for, or less where the tests themselves may not raise their limit (a container)."""
    if subprocess.run(["prlimit", "--nofile=" + WANTED, "true"], stderr=subprocess.DEVNULL).returncode == 0:
        return WANTED
    return str(min(int(WANTED), resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def sandbox(chat):
    """What the bridges have said of it."""
    return re.findall(r"chat-bridge: (sandbox: .*)", chat.log())


def drop_in_of_the_manual():
    with open(os.path.join(REPO, "docs", "operations.md")) as f:
        (found,) = re.findall(r"^```\n(\[Service\]\nNoNewPrivileges=.*?)^```$", f.read(), re.M | re.S)
    return found


def hears(reader, author, text):
    author.send({"message": text})
    return reader.expect_message(text, A)


# started

def test_it_starts(chat):
    assert chat.ask("is-active", UNIT) == "active"
    assert chat.ask("is-system-running") == "running", chat.ask("--failed")
    assert (chat.show("NRestarts"), chat.show("NeedDaemonReload")) == ("0", "no")
    assert chat.show("DropInPaths") == DROP_IN
    assert {name: len(pids) for name, pids in chat.processes().items()} == {BROKER: 1, BRIDGE: 1}
    chat.wait_page(chat.talk())
    assert not re.search(r"(?i)\b(error|warning)\b", chat.log()), chat.log()


def test_systemd_understands_the_drop_in(chat):
    said = chat.execute("systemd-analyze", "verify", "--man=no", UNIT)
    assert (said.returncode, said.stdout) == (0, "")
    assert chat.show("LimitNOFILE") == chat.show("LimitNOFILESoft") == WANTED
    assert chat.show("Restart") == "on-failure"


def test_open_files(chat):
    most = most_descriptors()
    for program in (BROKER, BRIDGE):
        assert chat.limits(program) == (most, most), program


def test_the_bridge_of_the_service_is_in_its_sandbox(chat):
    """As outside of a service: nothing in Debian's unit takes away what it is made with."""
    [said] = sandbox(chat)
    assert re.match(r"sandbox: seccomp, ", said)
    with open("/proc/%d/status" % chat.one(BRIDGE)) as f:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
    assert (status["Seccomp"], status["NoNewPrivs"], int(status["CapEff"], 16)) == ("2", "1", 0)


def test_a_unit_that_gives_less(chat):
    """What docs/operations.md adds to it: the bridge lives with that, and its own sandbox stays complete."""
    [before] = sandbox(chat)
    chat.edit(drop_in_of_the_manual())
    said = chat.talk()
    chat.wait_page(said)
    chat.run("systemctl", "restart", UNIT)
    chat.wait_chat().wait_page(said)
    assert sandbox(chat)[-1] == before
    chat.wait_page(said + chat.talk())


# reloaded, restarted, stopped

def test_a_reload_keeps_sessions(chat):
    alice, bob = chat.ws(A), chat.mqtt(B).read_room()
    pids = chat.processes()
    chat.run("systemctl", "reload", UNIT)
    wait_for(lambda: "new settings are in force" in chat.log(), chat.log)
    hears(bob, alice, "still here")
    assert chat.processes() == pids
    assert chat.ask("is-active", UNIT) == "active"


def test_a_restart_keeps_history(chat):
    said = chat.talk()
    session = chat.ws(A)
    pids = chat.processes()
    chat.run("systemctl", "restart", UNIT)
    session.expect_close(*END)
    chat.wait_chat()
    assert set(chat.processes()) == set(pids)
    assert not set(sum(chat.processes().values(), [])) & set(sum(pids.values(), []))
    chat.wait_page(said)
    chat.wait_page(said + chat.talk())


def test_a_stop_leaves_nothing(chat):
    """systemd sends SIGTERM to all processes at once. They end by themselves, and what was acked is kept."""
    alice, bob = chat.ws(A), chat.ws(B)
    alice.send({"message": "the last word", "ref": "1"})
    said = alice.expect_ack("1")
    seconds = chat.stop()
    assert bob.expect_message("the last word", A)["id"] == said["id"]
    for session in (alice, bob):
        session.expect_close(*END)
    assert seconds < SOON
    assert chat.processes() == {}
    assert not chat.listens(chat.ws_port) and not chat.listens(chat.mqtt_port)
    assert (chat.ask("is-active", UNIT), chat.show("Result"), chat.show("ExecMainStatus")) == ("inactive", "success", "0")
    assert "SIGKILL" not in chat.journal()
    chat.start_chat()
    assert chat.page() == [(said["id"], "the last word")]


def test_a_stop_with_a_bridge_that_hangs(chat):
    """The broker ends it: systemd need not wait for a process that takes no notice of SIGTERM."""
    session = chat.ws(A)
    os.kill(chat.one(BRIDGE), signal.SIGSTOP)
    assert chat.stop() < SOON
    assert chat.processes() == {}
    assert chat.show("Result") == "success"
    session.drain_until_close(1006, *END)


# killed

def test_a_bridge_that_is_killed(chat):
    """It is the plugin's: systemd has nothing to do with it."""
    session, broker, bridge = chat.ws(A), chat.one(BROKER), chat.one(BRIDGE)
    os.kill(bridge, signal.SIGKILL)
    session.expect_close(1006)
    wait_for(lambda: chat.processes().get(BRIDGE, [bridge]) != [bridge], chat.log)
    chat.wait_chat()
    chat.wait_page(chat.talk())
    assert chat.one(BROKER) == broker and chat.show("NRestarts") == "0"
    assert chat.limits(BRIDGE) == chat.limits(BROKER)


def test_a_broker_that_is_killed(chat):
    """Its bridge ends with it, systemd starts it again, and the chat is as it was."""
    said = chat.talk()
    chat.wait_page(said)
    session, before = chat.ws(A), chat.processes()
    os.kill(chat.one(BROKER), signal.SIGKILL)
    session.expect_close(1006, *END)
    wait_for(lambda: chat.show("NRestarts") == "1", chat.log)
    chat.wait_chat()
    after = chat.processes()
    assert set(after) == {BROKER, BRIDGE} and after[BROKER] != before[BROKER] and after[BRIDGE] != before[BRIDGE]
    assert len(after[BROKER]) == len(after[BRIDGE]) == 1
    chat.wait_page(said)
    chat.wait_page(said + chat.talk())


def test_a_configuration_that_is_refused(chat):
    """Started again and again until systemd gives up: its status is failed, and the log says why."""
    good = chat.read(CONF)
    chat.write(CONF, good + "plugin_opt_colour blue\n")
    assert chat.execute("systemctl", "restart", UNIT).returncode != 0
    wait_for(lambda: chat.ask("is-active", UNIT) == "failed", chat.log)
    assert re.search(r"chat\.conf:\d+: plugin_opt_colour", chat.log())
    assert chat.processes() == {}
    chat.write(CONF, good)
    chat.run("systemctl", "reset-failed", UNIT)
    chat.start_chat()


# upgraded, removed

def test_installing_restarts_nothing(booted, deb):
    booted.start()
    pid = booted.one(BROKER)
    booted.install(deb)
    assert booted.one(BROKER) == pid
    assert (booted.show("DropInPaths"), booted.show("NeedDaemonReload")) == (DROP_IN, "no")


def test_an_upgrade_restarts_the_chat(booted, deb, older):
    booted.install(older)
    activate(booted)
    said = booted.start_chat().talk()
    booted.wait_page(said)
    pid = booted.one(BROKER)
    booted.install(deb)
    booted.wait_chat().wait_page(said)
    assert booted.one(BROKER) != pid


def test_an_upgrade_leaves_a_stopped_broker_alone(chat, older, deb):
    chat.stop()
    chat.install(deb)
    assert chat.ask("is-active", UNIT) == "inactive"


def test_removal_leaves_a_running_broker(chat):
    chat.wait_page(chat.talk())
    pid = chat.one(BROKER)
    assert ASIDE in chat.remove()
    assert chat.ask("is-active", UNIT) == "active"
    assert chat.one(BROKER) != pid and set(chat.processes()) == {BROKER}
    assert (chat.show("DropInPaths"), chat.show("NeedDaemonReload")) == ("", "no")
    assert not chat.listens(chat.ws_port)
    reader = chat.mqtt("meter")
    assert reader.subscribe("house/temperature") < 0x80
    chat.mqtt("sensor").publish("house/temperature", b'{"celsius":21}')
    assert reader.expect(celsius=21).topic == "house/temperature"
