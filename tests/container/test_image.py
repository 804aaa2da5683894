"""The image as it was made, and what it does when it runs."""

import os
import re
import signal
import ssl
import subprocess

import pytest

from engine import OTHER_ADDRESS, buildah
from harness.dialogue import TIMEOUT, wait_for
from harness.server import A, B
from harness.tls import Certificate

REPO = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
CONFIGS = ["distribuida.conf", "mosquitto.conf"]  # those for one broker that stands alone
SOCKETS = {"/run/mosquitto": "mode=1777"}


def read(*path):
    with open(os.path.join(REPO, *path)) as f:
        return f.read()


def own(folder, listener="/run/mosquitto/chat.sock", log="stderr", port=8000, more=""):
    """A short configuration in that folder, mounted where the image has its own."""
    folder.chmod(0o755)
    (folder / "mosquitto.conf").write_text(
        "listener 1883\n"
        "listener 0 %s\n"
        "allow_anonymous true\n"
        "log_dest %s\n"
        "plugin /usr/lib/mosquitto/mosquitto_chat.so\n"
        "plugin_opt_broker_socket /run/mosquitto/chat.sock\n"
        "plugin_opt_bind_address 0.0.0.0\n"
        "plugin_opt_port %d\n"
        "plugin_opt_system_sender Our own\n%s" % (listener, log, port, more))
    return {"/mosquitto/config": str(folder)}


# what the image says about itself

def test_what_it_says(image):
    config = image.config
    assert config["User"] == "1883"
    assert set(config["ExposedPorts"]) == {"1883/tcp", "8000/tcp"}
    assert set(config["Volumes"]) == {"/mosquitto/data", "/mosquitto/log"}
    assert config["StopSignal"] == "SIGTERM"
    assert not config.get("Entrypoint")
    assert config["Cmd"] == ["/usr/sbin/mosquitto", "-c", "/mosquitto/config/mosquitto.conf"]
    assert [word.split("=")[0] for word in config["Env"]] == ["PATH"]
    labels = {name.removeprefix("org.opencontainers.image."): text for name, text in config["Labels"].items()}
    assert labels["version"] == re.search(r"project\(mosquitto-chat VERSION (\S+)", read("CMakeLists.txt")).group(1)
    assert labels["licenses"] == "EPL-2.0 OR BSD-3-Clause"
    assert labels["base.name"] == "debian:%s-slim" % image.name.rpartition(":")[2]


def test_what_is_in_it(image):
    container = buildah("from", "--pull-never", image.name)
    try:
        files = buildah("mount", container)
        for name in ["/usr/bin/gcc", "/usr/bin/cmake", "/usr/bin/curl", "/src", "/build", "/out", "/libraries", "/tools"]:
            assert not os.path.lexists(files + name), name
        for folder in ["/var/lib/apt/lists", "/tmp", "/mosquitto/data", "/mosquitto/log", "/run/mosquitto"]:
            assert not os.listdir(files + folder), folder
        assert not [name for name in os.listdir(files + "/var/cache/apt/archives") if name.endswith(".deb")]
        assert os.access(files + "/usr/bin/mosquitto_passwd", os.X_OK)
        assert sorted(os.listdir(files + "/mosquitto/config")) == CONFIGS
        for folder in ["data", "log"]:
            status = os.stat(files + "/mosquitto/" + folder)
            assert (status.st_uid, status.st_gid, oct(status.st_mode & 0o7777)) == (1883, 0, "0o770")
        for name in ["/usr/lib/mosquitto/mosquitto_chat.so", "/usr/libexec/mosquitto/mosquitto-chat-bridge"]:
            sections = subprocess.run(["objdump", "-h", files + name], capture_output=True, text=True, check=True).stdout
            assert ".text" in sections and ".debug_info" not in sections, name
    finally:
        buildah("rm", container)


# what it does

def test_healthy_and_heard_from_outside(chat):
    assert chat.health().stdout == "HTTP/1.1 200 OK\n"
    chat.talk()
    answer = chat.http("/health", OTHER_ADDRESS)
    assert (answer.status, answer.json) == (200, {"status": "ok"})
    publish = ["mosquitto_pub", "-h", OTHER_ADDRESS, "-t", "chat/rooms/general/send", "-m", '{"message":"hi"}', "-u", B]
    alice = chat.ws(A)
    assert subprocess.run(publish, timeout=TIMEOUT).returncode == 0
    alice.expect_message("hi", B)


def test_health_of_a_bridge_that_hangs(chat):
    bridge = chat.processes()["mosquitto-chat-"]["pid"]
    os.kill(bridge, signal.SIGSTOP)
    assert chat.health().returncode != 0
    os.kill(bridge, signal.SIGCONT)
    assert chat.health().returncode == 0


def test_health_without_a_server(containers):
    chat = containers(wait=False, command=["sleep", "infinity"])
    wait_for(lambda: set(chat.processes()) == {"sleep"}, lambda: chat.processes().keys())
    assert chat.health().returncode != 0


def test_health_without_a_broker_behind_it(containers, tmp_path):
    """The bridge runs and answers: 503."""
    chat = containers(wait=False, binds=own(tmp_path, listener="/run/mosquitto/another.sock"))
    wait_for(lambda: chat.health().stdout == "HTTP/1.1 503 Service Unavailable\n", chat.log)
    assert chat.health().returncode != 0


def test_health_on_another_port(containers, tmp_path):
    """As an engine asks for it with --health-cmd."""
    chat = containers(wait=False, binds=own(tmp_path, port=9000))
    wait_for(lambda: chat.execute("/usr/libexec/mosquitto/chat-health", "9000").returncode == 0, chat.log)
    assert chat.health().returncode != 0


def test_health_of_a_port_that_speaks_tls(containers, tmp_path):
    """The certificate is mounted; the check sees that the bridge runs."""
    certificate = Certificate()
    options = "plugin_opt_tls_cert_file /certificates/cert.pem\nplugin_opt_tls_key_file /certificates/key.pem\n"
    chat = containers(wait=False, binds={**own(tmp_path, more=options), "/certificates": certificate.folder})
    chat.tls = certificate
    wait_for(lambda: chat.execute("/usr/libexec/mosquitto/chat-health", "8000", "400").returncode == 0, chat.log)
    assert chat.health().returncode != 0
    chat.talk()
    certificate.renew()
    os.kill(chat.pid, signal.SIGHUP)
    wait_for(lambda: ssl.get_server_certificate(("127.0.0.1", chat.ws_port)).split() == read(certificate.cert).split(), chat.log)
    chat.talk()


def test_the_page(chat):
    answer = chat.http("/")
    if os.path.isdir(os.path.join(REPO, "web")):
        assert answer.status == 200 and answer.headers["content-type"].startswith("text/html"), answer
        assert answer.body == read("web", "index.html").encode()
    else:
        assert answer.status == 404


def test_who_runs(chat):
    processes = chat.processes()
    assert set(processes) == {"mosquitto", "mosquitto-chat-"}
    for name, status in processes.items():
        assert set(status["Uid"].split()) == set(status["Gid"].split()) == {"1883"}, name
        assert int(status["CapEff"], 16) == 0, name
    assert processes["mosquitto"]["NSpid"].split()[-1] == "1"


def test_sigterm_ends_it_in_order(chat):
    alice = chat.ws(A)
    code, seconds = chat.stop()
    assert code == 0, chat.log()
    assert seconds < 5
    alice.expect_close(1001, 4003)


def test_history_survives_a_new_container(containers, tmp_path):
    volume = str(tmp_path / "data")
    first = containers(volumes={"/mosquitto/data": volume})
    said = first.talk()
    first.stop()
    assert {"chat.db", "chat-device.key", "mosquitto.db"} <= set(os.listdir(volume))
    second = containers(volumes={"/mosquitto/data": volume})
    second.wait_page(said)


def test_read_only(containers):
    chat = containers(read_only=True, tmpfs=SOCKETS)
    assert chat.execute("touch", "/mosquitto/config/x").stdout.rstrip().endswith("Read-only file system")
    chat.wait_page(chat.talk())
    assert chat.stop()[0] == 0


def test_another_user_in_group_0(containers):
    """docker run --user 4711, and platforms that draw a number for each project."""
    chat = containers(user="4711")
    chat.wait_page(chat.talk())
    assert {status["Uid"].split()[0] for status in chat.processes().values()} == {"4711"}


def test_another_user_and_group_with_folders_of_its_own(containers, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    os.chown(folder, 4711, 4712)
    chat = containers(user="4711:4712", tmpfs=SOCKETS, binds={"/mosquitto/data": str(folder)})
    chat.wait_page(chat.talk())


def test_a_folder_that_it_may_not_write(containers, tmp_path):
    """It says which one and ends, instead of running without what was asked for."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    chat = containers(wait=False, binds={"/mosquitto/data": str(folder)})
    assert chat.process.wait(TIMEOUT) != 0
    assert re.search(r"/mosquitto/data/chat\.db.*(denied|unable|cannot)|cannot.*/mosquitto/data", chat.log(), re.I), chat.log()


def test_a_configuration_of_ones_own(containers, tmp_path):
    chat = containers(binds=own(tmp_path, log="file /mosquitto/log/mosquitto.log"))
    alice = chat.ws(A)
    alice.send({"message": ""})
    alice.expect_error("empty_message", field="message", sender="Our own")
    assert "WebSocket on 0.0.0.0 port 8000" in chat.execute("cat", "/mosquitto/log/mosquitto.log").stdout


@pytest.mark.parametrize("config", CONFIGS)
def test_every_configuration_that_ships(containers, config):
    chat = containers(command=["mosquitto", "-c", "/mosquitto/config/" + config])
    chat.wait_page(chat.talk())
    assert re.search(r"WebSocket on 0\.0\.0\.0 port 8000", chat.log())
    code, _ = chat.stop()
    assert code == 0, chat.log()


# how its configurations are made

LINES = [line for line in read("config", "mosquitto.conf").splitlines()
         if re.match(r"listener |#plugin_opt_bind_address|persistence_location|plugin_opt_history_file |plugin_opt_broker_socket|plugin ", line)]


@pytest.mark.parametrize("line", LINES)
def test_a_line_that_is_not_found_fails_the_build(tmp_path, line):
    """One that has changed, and one that is there twice."""
    assert len(LINES) == 7
    text = read("config", "mosquitto.conf")
    for times, changed in [(0, text.replace("\n%s\n" % line, "\n%s0\n" % line)), (2, text + line + "\n")]:
        (tmp_path / "c.conf").write_text(changed)
        done = subprocess.run([os.path.join(REPO, "container", "configure"), str(tmp_path / "out"), str(tmp_path / "c.conf")],
                              capture_output=True, text=True)
        assert done.returncode != 0
        assert re.search(r"^c\.conf: comes to hold %d times, not once: %s " % (times, line.split()[0].lstrip("#")), done.stderr, re.M)


def test_a_line_that_fits_no_container_fails_the_build(tmp_path):
    (tmp_path / "c.conf").write_text(read("config", "mosquitto.conf") + "listener 1884 127.0.0.1\n")
    done = subprocess.run([os.path.join(REPO, "container", "configure"), str(tmp_path / "out"), str(tmp_path / "c.conf")],
                          capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "c.conf: not for a container: listener 1884 127.0.0.1\n")
