"""Two brokers from one binary, one with the plugin and one without, and the dialogues that both must answer alike.

A dialogue is a function of a Stage: it opens peers, sends, and reads; it judges nothing. What its peers received is the
transcript. Both sides run at the same time, each in a thread of its own, with the same topics and client ids.
"""

import collections
import difflib
import os
import subprocess
import threading

from harness.broker import Broker

from peer import Peer

Dialogue = collections.namedtuple("Dialogue", "name call version config slow")
registered = []

# mosquitto.conf by name: lines before the listener, lines below it, files by name.
Config = collections.namedtuple("Config", "lines listener files", defaults=((), (), {}))

RULES = """\
topic readwrite open/#
topic read news/#
user alice
topic readwrite open/#
topic readwrite own/alice/#
topic deny own/alice/secret
user bob@example.com
topic write drop/#
topic read $SYS/broker/version
pattern readwrite byname/%u/#
pattern readwrite byid/%c/#
"""
ACCOUNTS = (("alice", "rabbit"), ("bob@example.com", "builder"), ("carol", "c a r o l"))

CONFIGS = {
    "open": Config(["allow_anonymous true", "sys_interval 1"]),
    "narrow": Config(
        ["allow_anonymous true", "max_inflight_messages 2", "max_queued_messages 3", "allow_zero_length_clientid false",
         "max_keepalive 20", "queue_qos0_messages true", "upgrade_outgoing_qos true", "message_size_limit 3000"],
        ["max_qos 1", "max_topic_alias 3"]),
    "unretained": Config(["allow_anonymous true", "retain_available false", "auto_id_prefix auto-", "max_packet_size 2000",
                          "max_inflight_messages 1", "max_queued_bytes 600", "allow_duplicate_messages true"]),
    "mounted": Config(["allow_anonymous true", "check_retain_source true"], ["mount_point tenant/"]),
    "accounts": Config(["allow_anonymous false", "password_file {passwords}", "acl_file {rules}"]),
    "accounts, open": Config(["allow_anonymous true", "password_file {passwords}"]),
    "accounts, guests with rules": Config(["allow_anonymous true", "password_file {passwords}", "acl_file {rules}"]),
    "rules": Config(["allow_anonymous true", "acl_file {rules}", "check_retain_source true"]),
    "closed": Config(["allow_anonymous false"]),
    "name is id": Config(["allow_anonymous false", "password_file {passwords}", "acl_file {rules}"],
                         ["use_username_as_clientid true"]),
}


def dialogue(versions=(4, 5), configs=("open",), slow=False):
    """Registers a dialogue, once for each version and configuration. slow: it waits for seconds to pass."""
    def register(call):
        for config in configs:
            for version in versions:
                name = "%s %s [%d%s]" % (call.__module__.replace("dialogues_", ""), call.__name__, version,
                                         "" if config == "open" else ", " + config)
                registered.append(Dialogue(name, call, version, config, slow))
        return call
    return register


class Host(Broker):
    """A broker as an operator has it; loaded: with the plugin, its listener and its bridge, and nothing else changed."""

    def __init__(self, config, loaded, options=None, plugin_lines=()):
        super().__init__(bridge=loaded, options={"rate_messages": None, "rate_connects": None, **(options or {})},
                         plugin_lines=plugin_lines)
        self.loaded = loaded
        self.paths = {"passwords": self.file("passwords", "", 0o600), "rules": self.file("rules", RULES)}
        self.write_accounts(ACCOUNTS)
        self.paths.update((name, self.file(name, text)) for name, text in config.files.items())
        self.operator = config
        self.earlier = []  # plugins before ours
        # They are refused on purpose here, and mosquitto says so.
        self.allow("protocol error", "Outgoing messages are being dropped")

    def can_switch(self):
        """Prepares for a start with or without the plugin, whichever it was made for."""
        self.options["bridge_program"] = self.bridge_program()
        return self

    def switch(self, loaded):
        """Takes effect at the next start."""
        self.loaded = self.bridge = loaded

    def write_accounts(self, accounts):
        with open(self.paths["passwords"], "w") as f:
            f.write("".join("%s:%s\n" % one for one in accounts))
        subprocess.run(["mosquitto_passwd", "-U", self.paths["passwords"]], check=True, capture_output=True)

    def config(self):
        lines = ["user root"] if os.geteuid() == 0 else []
        # Without the last one each answer of two packets takes the 40 ms of a delayed acknowledgement.
        lines += ["log_dest stderr", "log_type all", "set_tcp_nodelay true"]
        lines += [line.format(folder=self.folder, **self.paths) for line in self.operator.lines]
        lines += ["listener %d 127.0.0.1" % self.mqtt_port, *self.operator.listener]
        if self.loaded:
            lines += ["listener 0 " + self.socket_path]
        lines += self.earlier
        if self.loaded:
            lines += ["plugin " + self.plugin]
            lines += ["plugin_opt_%s %s" % (name, value) for name, value in self.options.items() if value is not None]
        return "\n".join(lines + self.plugin_lines) + "\n"


class Stage:
    """One side of a dialogue. user, password: what peers log in with where a dialogue does not say."""

    def __init__(self, port, name, version=5, user=None, password=None, config="open", loaded=False):
        self.loaded = loaded  # for what waits for an event that only one side has
        self.port = port
        self.prefix = "".join(c if c.isalnum() else "-" for c in name).strip("-")
        self.version = version
        self.user = user
        self.password = password
        self.max_qos = 1 if config == "narrow" else 2
        self.peers = []
        self.record = collections.OrderedDict()

    def lines_of(self, name):
        return self.record.setdefault(name, [])

    def topic(self, end=""):
        return "host/%s/%s" % (self.prefix, end)

    def id(self, name):
        return "%s-%s" % (self.prefix, name)

    def peer(self, name, **more):
        """A connection, nothing sent yet."""
        return Peer(self, name, **more)

    def client(self, name, peer_version=None, **more):
        return Peer(self, name, version=peer_version).connect(**more)

    def note(self, text):
        """Something that is no packet."""
        self.lines_of("note").append(text)

    def close(self):
        for peer in self.peers:
            peer.socket.close()

    def transcript(self):
        return ["%s< %s" % (name, line) for name, lines in self.record.items() for line in lines]


def at_once(*calls):
    """Runs them in threads of their own; their results. The first error is raised once all have ended."""
    results, errors = [None] * len(calls), []

    def run(n):
        try:
            results[n] = calls[n]()
        except BaseException as error:  # handed on to the test's thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def perform(host, one, user=None):
    """The transcript of a dialogue with one broker."""
    stage = Stage(host.mqtt_port, one.name, one.version, user, config=one.config, loaded=host.loaded)
    try:
        one.call(stage)
    finally:
        stage.close()
    return stage.transcript()


def compare(without, loaded):
    """Fails where the two differ."""
    if without != loaded:
        raise AssertionError("differs with the plugin:\n" + "\n".join(
            difflib.unified_diff(without, loaded, "without the plugin", "with the plugin", lineterm="", n=6)))
