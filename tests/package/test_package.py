"""The package on a Debian machine: installed, used, upgraded, removed, purged."""

import os
import re
import signal
import subprocess

import pytest

from harness.dialogue import wait_for
from machine import CONF

REPO = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
EXAMPLE = CONF + ".example"
ASIDE = CONF + ".disabled-by-removal"
HISTORY = "/var/lib/mosquitto/chat.db"
RESTART = ["mosquitto restart"]


def field(deb, name):
    return subprocess.run(["dpkg-deb", "--field", deb, name], capture_output=True, text=True, check=True).stdout.strip()


def activate(machine):
    machine.run("cp", EXAMPLE, CONF)


@pytest.fixture
def chat(machine, deb):
    """Installed, with the example in force, and running."""
    machine.install(deb)
    activate(machine)
    return machine.start_chat()


# what is in it

def test_whom_it_needs(machine, deb):
    """The broker that it was built for, and no other line of it. (The headers of 2.1.2 call themselves 2.1.0.)"""
    version = machine.run("dpkg-query", "--show", "--showformat", "${Version}", "mosquitto")
    major, minor, revision = map(int, re.match(r"(\d+)\.(\d+)\.(\d+)", version).groups())
    needed = field(deb, "Depends").split(", ")
    (lowest,) = [int(found.group(1)) for found in (re.fullmatch(r"mosquitto \(>= %d\.%d\.(\d+)\)" % (major, minor), name) for name in needed) if found]
    assert lowest == revision or (minor, lowest) == (1, 0)
    assert "mosquitto (<< %d.%d~)" % (major, minor + 1) in needed
    assert "libwebsockets-evlib-uv" in needed
    assert any(re.match(r"libsqlite3-0 \(", name) for name in needed), needed  # of dpkg-shlibdeps
    assert field(deb, "Recommends") == "procps"


def test_what_is_in_it(machine, deb):
    machine.install(deb)
    names = machine.run("dpkg", "--listfiles", "mosquitto-chat").split()
    there = {name for name in names if not os.path.isdir(machine.path(name))}
    assert {"/usr/lib/mosquitto/mosquitto_chat.so", "/usr/libexec/mosquitto/mosquitto-chat-bridge", EXAMPLE,
            "/usr/share/mosquitto-chat/web/index.html", "/usr/lib/systemd/system/mosquitto.service.d/mosquitto-chat.conf",
            "/usr/share/man/man5/mosquitto-chat.conf.5.gz", "/usr/share/man/man8/mosquitto-chat-bridge.8.gz",
            "/usr/share/doc/mosquitto-chat/copyright", "/usr/share/doc/mosquitto-chat/changelog.Debian.gz",
            "/usr/share/doc/mosquitto-chat/operations.md"} <= there
    for name in there:
        with open(machine.path(name), "rb") as f:
            assert REPO.encode() not in f.read(), name
    assert machine.run("dpkg", "--verify", "mosquitto-chat") == ""


# installed and used

def test_installing_changes_nothing(machine, deb):
    """The broker that runs goes on, and so does one that is started anew."""
    machine.start()
    machine.install(deb)
    assert machine.restarts() == [] and not machine.exists(CONF)
    machine.stop().start()
    assert not machine.listens(machine.ws_port)
    assert "mosquitto_chat" not in machine.log()


def test_the_example_is_a_chat_server(chat):
    chat.wait_page(chat.talk())
    assert chat.http("/").body.startswith(b"<!doctype html>")
    assert not re.search(r"(?i)\b(error|warning)\b", chat.log()), chat.log()
    history = os.stat(chat.path(HISTORY))
    status = dict(line.split(":\t", 1) for line in chat.read("/proc/%s/status" % os.path.basename(chat.bridge())).splitlines() if ":\t" in line)
    assert history.st_mode & 0o777 == 0o600
    assert set(status["Uid"].split()) == {str(history.st_uid)} != {"0"}
    with open("/proc/%d/limits" % chat.broker.pid) as f:
        assert re.search(r"^Max open files +%s +%s " % tuple(chat.descriptors().split(":")), f.read(), re.M)


def test_the_example_renamed(machine, deb, older):
    """Moved instead of copied: it does not come back with an upgrade, and the upgrade asks nothing."""
    machine.install(older)
    machine.run("mv", EXAMPLE, CONF)
    machine.start_chat()
    machine.run("dpkg", "--force-confold", "--install", *install_path(machine, deb))
    assert machine.exists(CONF) and not machine.exists(EXAMPLE)
    machine.stop().start_chat()


def install_path(machine, deb):
    """The package where the machine's programs find it."""
    subprocess.run(["cp", deb, machine.path("/tmp/")], check=True)
    return ["/tmp/" + os.path.basename(deb)]


# upgraded

def test_an_upgrade_keeps_history(machine, deb, older):
    machine.install(older)
    activate(machine)
    said = machine.start_chat().talk()
    machine.wait_page(said)
    assert machine.status() == ["ii", field(older, "Version")]
    machine.install(deb)
    assert machine.status() == ["ii", field(deb, "Version")]
    assert "older" not in machine.read(EXAMPLE) and machine.exists(CONF)
    assert machine.restarts() == RESTART
    machine.stop().start_chat()
    machine.wait_page(said)
    machine.wait_page(said + machine.talk())


def test_an_upgrade_without_the_chat_in_use(machine, deb, older):
    """Somebody else's broker is not restarted for it."""
    machine.install(older)
    machine.start()
    machine.install(deb)
    assert machine.restarts() == []


def test_a_broker_without_a_pid_file(machine, deb, older):
    """As Debian 13's is: found by what it was started with."""
    machine.install(older)
    activate(machine)
    conf = "/etc/mosquitto/mosquitto.conf"
    machine.write(conf, re.sub(r"(?m)^pid_file .*\n", "", machine.read(conf)))
    machine.start_chat()
    assert not machine.exists("/run/mosquitto/mosquitto.pid")
    machine.install(deb)
    assert machine.restarts() == RESTART


@pytest.mark.parametrize("of_the_service", [True, False])
def test_what_systemd_says(machine, deb, older, of_the_service):
    """It knows the service's process: one that somebody has started by hand is not that."""
    machine.install(older)
    activate(machine)
    machine.start_chat()
    machine.systemd(machine.broker.pid if of_the_service else 0)
    machine.install(deb)
    assert machine.restarts() == (RESTART if of_the_service else [])


def test_a_bridge_of_a_broker_that_was_not_restarted(machine, deb, older):
    """Where services may not be restarted (policy-rc.d): until the broker is, sessions go on."""
    machine.install(older)
    activate(machine)
    machine.start_chat()
    machine.install(deb)
    assert machine.restarts() == RESTART
    machine.wait_page(machine.talk())


# removed

def test_removal_leaves_a_broker(chat):
    said = chat.talk()
    chat.wait_page(said)
    told = chat.remove()
    assert ASIDE in told and "warning" not in told
    assert chat.exists(ASIDE) and not chat.exists(CONF)
    assert chat.restarts() == RESTART
    chat.stop()
    assert not chat.exists("/usr/lib/mosquitto/mosquitto_chat.so")
    chat.start()
    assert not chat.listens(chat.ws_port)
    assert "LimitNOFILE" not in chat.service()
    reader = chat.mqtt("meter")
    assert reader.subscribe("house/temperature") < 0x80
    chat.mqtt("sensor").publish("house/temperature", b'{"celsius":21}')
    assert reader.expect(celsius=21).topic == "house/temperature"


def test_a_removed_package_comes_back(chat, deb):
    said = chat.talk()
    chat.wait_page(said)
    chat.write(CONF, chat.read(CONF) + "plugin_opt_system_sender Our own\n")
    chat.remove()
    chat.stop()
    chat.restarts()
    told = chat.install(deb)
    assert "Our own" in chat.read(CONF) and not chat.exists(ASIDE)
    assert "restart mosquitto" in told and chat.restarts() == []
    chat.start_chat()
    chat.wait_page(said)


def test_a_configuration_made_meanwhile_stays(chat, deb):
    chat.remove()
    chat.stop()
    chat.write(CONF, "# mine\n")
    assert ASIDE in chat.install(deb)
    assert chat.read(CONF) == "# mine\n" and chat.exists(ASIDE)


def test_purging_takes_the_configuration_and_not_the_history(chat):
    chat.wait_page(chat.talk())
    chat.stop()
    told = chat.purge()
    assert HISTORY in told
    assert chat.exists(HISTORY)
    assert os.listdir(chat.path("/etc/mosquitto/conf.d")) == ["README"]
    chat.start()


@pytest.mark.parametrize("line", ["plugin /usr/lib/mosquitto/mosquitto_chat.so", "  global_plugin\t/usr/lib/mosquitto/mosquitto_chat.so"])
def test_a_line_that_the_package_did_not_make(machine, deb, line):
    """It is its administrator's: named, not touched; and a broker that runs is not restarted into it."""
    machine.install(deb)
    machine.write("/etc/mosquitto/conf.d/ours.conf", line + "\n")
    before = machine.read("/etc/mosquitto/conf.d/ours.conf")
    told = machine.remove()
    assert re.search(r"warning: /etc/mosquitto/conf\.d/ours\.conf still loads the plugin", told), told
    assert machine.read("/etc/mosquitto/conf.d/ours.conf") == before
    assert machine.restarts() == []


def test_a_comment_loads_nothing(machine, deb):
    machine.install(deb)
    machine.write(CONF, "# plugin /usr/lib/mosquitto/mosquitto_chat.so\nplugin_opt_x mosquitto_chat.so\n")
    assert "mosquitto-chat:" not in machine.remove()
    assert machine.exists(CONF)


# what its service does

def test_the_drop_in(machine, deb):
    machine.install(deb)
    service = machine.service()
    assert service["LimitNOFILE"] == ["524288"]
    assert service["Restart"][-1] == "on-failure"


def test_a_reload_as_the_service_does_it(chat):
    assert chat.service()["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    before = len(chat.log())
    os.kill(chat.broker.pid, signal.SIGHUP)
    wait_for(lambda: "new settings are in force" in chat.log()[before:], chat.log)
    chat.wait_page(chat.talk())
