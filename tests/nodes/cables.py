"""Networks of a test's own: one for the nodes and their clients, one for the hub, and a cable between them for each node."""

import contextlib
import ctypes
import os
import subprocess

CLONE_NEWNET = 0x40000000


def ip(*arguments):
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise OSError("ip %s: %s" % (" ".join(arguments), done.stderr.strip()))


@contextlib.contextmanager
def inside(network):
    """This thread, and whatever it starts, is in that network."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as before, open("/run/netns/" + network) as wanted:
        if libc.setns(wanted.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            if libc.setns(before.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")


class Cables:
    """cables.here, cables.there: the two networks; cable n ends in an interface of each. Made at once, OSError where that is
    not allowed; gone with remove()."""

    def __init__(self, count):
        self.here, self.there = ("chat-%d-%s" % (os.getpid(), side) for side in ("nodes", "hub"))
        self.made = []
        try:
            for network in (self.here, self.there):
                ip("netns", "add", network)
                self.made.append(network)
                ip("-n", network, "link", "set", "lo", "up")
            for n in range(count):
                ip("link", "add", "name", "node%d" % n, "netns", self.here, "type", "veth", "peer", "name", "hub%d" % n,
                   "netns", self.there)
                for network, name, address in ((self.here, "node%d" % n, "10.77.%d.1/30" % n), (self.there, "hub%d" % n, self.address(n) + "/30")):
                    ip("-n", network, "address", "add", address, "dev", name)
                    ip("-n", network, "link", "set", name, "up")
        except OSError:
            self.remove()
            raise

    @staticmethod
    def address(n):
        """The hub's, at the end of that cable."""
        return "10.77.%d.2" % n

    def down(self, n):
        """At the node's end."""
        ip("-n", self.here, "link", "set", "node%d" % n, "down")

    def up(self, n):
        ip("-n", self.here, "link", "set", "node%d" % n, "up")

    def down_there(self, n):
        """At the hub's end: the node's own interface only loses its carrier."""
        ip("-n", self.there, "link", "set", "hub%d" % n, "down")

    def up_there(self, n):
        ip("-n", self.there, "link", "set", "hub%d" % n, "up")

    def remove(self):
        for network in self.made:
            ip("netns", "delete", network)
        self.made = []
