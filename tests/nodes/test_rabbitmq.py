"""RabbitMQ's MQTT plugin as the hub. Only with CHAT_TEST_RABBITMQ=1 and rabbitmq-server (Debian's package), which scripts/test
does not install: it starts in half a minute to two."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

from harness.broker import _die_with_parent, free_port
from harness.dialogue import FACTOR, TIMEOUT, wait_for
from star import PASSWORD, Star
from test_links import at_least_more, talk
from test_star import wait_online

SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
A, B = "alice@example.com", "bob@example.com"

pytestmark = [
    pytest.mark.skipif(not os.environ.get("CHAT_TEST_RABBITMQ"), reason="only with CHAT_TEST_RABBITMQ=1"),
    pytest.mark.skipif(not os.path.exists(SERVER), reason="rabbitmq-server is not installed"),
]


class RabbitHub:
    """A server of its own on loopback, with the nodes as its users."""

    root = "chat"

    def __init__(self, users):
        self.users = users
        self.folder = tempfile.mkdtemp(prefix="rabbit-")
        self.port, self.epmd_port = free_port(), free_port()
        self.log_path = os.path.join(self.folder, "log")
        self.process = self.epmd = None

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def environment(self):
        definitions = {
            "users": [{"name": user, "password": PASSWORD, "tags": ""} for user in self.users],
            "vhosts": [{"name": "/"}],
            "permissions": [{"user": user, "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"} for user in self.users],
        }
        config = "\n".join([
            "listeners.tcp.1 = 127.0.0.1:%d" % free_port(),
            "mqtt.listeners.tcp.1 = 127.0.0.1:%d" % self.port,
            "mqtt.allow_anonymous = false", "mqtt.prefetch = 1000", "mqtt.subscription_ttl = 86400000",
            "load_definitions = " + self.write("definitions.json", json.dumps(definitions)), "log.console = true",
            "log.console.level = info", "disk_free_limit.absolute = 1MB", ""])
        return dict(os.environ, HOME=self.folder, RABBITMQ_NODENAME="hub%d@localhost" % self.port,
                    RABBITMQ_CONFIG_FILE=self.write("rabbitmq.conf", config), RABBITMQ_MNESIA_BASE=self.folder,
                    RABBITMQ_LOG_BASE=self.folder, RABBITMQ_LOGS="-", RABBITMQ_DIST_PORT=str(free_port()),
                    RABBITMQ_ENABLED_PLUGINS_FILE=self.write("plugins", "[rabbitmq_mqtt].\n"),
                    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}",
                    ERL_EPMD_PORT=str(self.epmd_port), ERL_EPMD_ADDRESS="127.0.0.1")

    def spawn(self, command, log):
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder,
                                env=self.environment(), start_new_session=True, preexec_fn=_die_with_parent)

    def start(self):
        with open(self.log_path, "ab") as log:
            self.epmd = self.epmd or self.spawn(["epmd"], log)
            self.process = self.spawn([SERVER], log)

        def listens():
            assert self.process.poll() is None, self.log()
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return True
        wait_for(listens, "RabbitMQ listens", 300 * FACTOR)
        return self

    def log(self):
        with open(self.log_path, "rb") as f:
            return f.read().decode("utf-8", "replace")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10 * TIMEOUT)

    def finish(self):
        for one in (self.process, self.epmd):
            with contextlib.suppress(ProcessLookupError, AttributeError):
                os.killpg(one.pid, signal.SIGKILL)
                one.wait(TIMEOUT)
        shutil.rmtree(self.folder, ignore_errors=True)
        return []


class WithRabbit(Star):
    def __init__(self):
        super().__init__(2)
        self.hub = RabbitHub(self.names)

        def prepare(node):
            # RabbitMQ closes a connection whose protocol version has mosquitto's bit of a bridge, and mosquitto tries that for ever.
            node.connection += "\ntry_private false\n"
        self.prepare = prepare


def test_rabbitmq_as_the_hub(report_on):
    with report_on(WithRabbit()) as star:
        star.start()
        alice, bob = (node.mqtt(user).read_inbox().read_room() for node, user in zip(star, (A, B)))
        wait_online(star, here=(A, B))
        for author, other, user in ((alice, bob, A), (bob, alice, B)):
            author.send({"message": "to all"})
            frames = [one.expect_message("to all", user) for one in (author, other)]
            assert frames[0].raw == frames[1].raw
        # What does not work, for RabbitMQ turns the slashes of a topic into dots, and an address has dots of its own.
        alice.send({"message": "psst"}, to=B)
        alice.expect_message("psst", A, to=B)
        alice.send({"message": "and?"})
        for one in (alice, bob):
            one.expect_message("and?", A)

        def during(pours):
            star.wires[1].cut()
            at_least_more(pours, 30)
            star.wires[1].mend()
            at_least_more(pours, 20)
        talk(star, during, rate=30, reconnects=4)
