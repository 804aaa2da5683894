"""A hub that has the plugin itself is a node, too: its peers are the links of all others."""

import os
import subprocess

from harness.dialogue import MARKER
from star import PASSWORD, Node, Star
from test_links import talk_over_a_cut
from test_star import wait_online

A, B, C = "alice@example.com", "bob@example.com", "carol@example.com"
PEOPLE = [A, B, C, MARKER] + ["%s%d@example.com" % (who, n) for who in ("author", "listener") for n in range(3)]


class HubNode(Node):
    """It opens no connection; the user names of the others' are in its password_file, as are its own people."""

    def __init__(self, names, **options):
        super().__init__("hub0", 1, peers=",".join(names), **options)
        self.connection = ""
        path = self.file("passwords", "")
        for name in list(names) + PEOPLE:
            subprocess.run(["mosquitto_passwd", "-b", path, name, PASSWORD], check=True, capture_output=True)
        os.chmod(path, 0o644)
        self.lines.append("password_file " + path)
        self.password_of = lambda _: PASSWORD

    def mqtt(self, user=None, version=5, **more):
        return super().mqtt(user, version, password=PASSWORD, **more)

    @property
    def port(self):
        return self.mqtt_port


class WithHub(Star):
    """nodes: two that go to the hub, and the hub."""

    def __init__(self):
        super().__init__(2)
        self.hub = self.middle = HubNode(self.names)

    def start(self):
        super().start()
        self.nodes.append(self.middle)
        self.wait_together()
        return self

    def logs(self):
        return [(node.name, node.log() if os.path.exists(node.log_path) else "") for node in [self.middle, *self.nodes[:2]]]

    def finish(self):
        self.nodes = self.nodes[:2]
        return super().finish()


def test_a_hub_with_the_plugin(report_on):
    with report_on(WithHub()) as star:
        star.start()
        alice, bob, carol = (node.mqtt(user).read_inbox().read_room() for node, user in zip(star, (A, B, C)))
        wait_online(star, here=(A, B, C))
        for author, user in ((alice, A), (bob, B), (carol, C)):
            author.send({"message": "to all"})
            for reader in (alice, bob, carol):
                reader.expect_message("to all", user)
            for other, name in ((alice, A), (bob, B), (carol, C)):
                if other is not author:
                    author.send({"message": "to you"}, to=name)
                    for reader in (other, author):
                        reader.expect_message("to you", user, to=name)
        for reader in (alice, bob, carol):
            reader.expect_nothing()
        talk_over_a_cut(star, 30)
