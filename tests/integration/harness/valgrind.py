"""Broker and bridges inside valgrind's memcheck: how they are started, where they report, and what of it is a finding.

CHAT_VALGRIND=all does that with every broker that a test starts; Broker(valgrind=True) with one. A finding fails the test when its
broker is stopped (Broker.finish). What counts: of the broker, whatever has a frame of the plugin in one of its stacks, since
mosquitto's own is not ours to mend; of a bridge, everything, since all is called from its main(), but for what valgrind.supp names.
Memory that is still reachable at the end is no finding, nor is what is reached by a pointer into its middle ("possibly lost").
A process that is killed leaves a report without a search for leaks; what was found before that counts.
A broker that refuses its configuration after a plugin has started returns from main() without a word to that plugin, and
what it knew of it goes with main()'s stack: such a test sets Broker.gives_up, and leaks of the broker do not count.
"""

import collections
import os
import re
import shutil
import tempfile
import xml.etree.ElementTree

import pytest

ALL = os.environ.get("CHAT_VALGRIND") == "all"

SUPPRESSIONS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "valgrind.supp")
NO_FINDINGS = ("Leak_StillReachable", "Leak_PossiblyLost")


def left_out(reason):
    """Marks a test that cannot hold where every broker runs in valgrind."""
    return pytest.mark.skipif(ALL, reason=reason)


OWN_DESCRIPTORS = left_out("valgrind keeps descriptors of its own above all others: who lowers the limit to the highest changes nothing")


def ours(error):
    """A frame of the plugin in any stack of this finding, also of one whose memory was freed there."""
    for frame in error.iter("frame"):
        object_, folder = (frame.findtext(tag) or "" for tag in ("obj", "dir"))
        if "mosquitto_chat" in object_ or folder.endswith(("/plugin", "/common")):
            return True
    return False


def described(error):
    what = error.findtext("what") or error.findtext("xwhat/text")
    stack = ["%s (%s:%s)" % (f.findtext("fn") or f.findtext("obj"), f.findtext("file"), f.findtext("line"))
             for f in error.iter("frame")]
    return "%s: %s\n    %s" % (error.findtext("kind"), what, "\n    ".join(stack))


class Reports:
    """The reports of one broker's processes: a file each, in a folder of their own, for what limits or hides the
    broker's folder shall not meet them."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="chat-valgrind-")

    def command(self, name):
        """What stands before a program; name: "broker", "bridge" or another, with which its report's file begins."""
        return ["valgrind", "--quiet", "--leak-check=full", "--show-leak-kinds=definite,indirect", "--keep-debuginfo=yes",
                "--num-callers=30", "--fair-sched=try", "--child-silent-after-fork=yes", "--suppressions=" + SUPPRESSIONS,
                "--xml=yes", "--xml-file=%s/%s.%%p.xml" % (self.folder, name)]

    def script(self, program):
        """A program to be started in the bridge's place."""
        return "#!/bin/sh\nexec %s %s \"$@\"\n" % (" ".join(self.command("bridge")), program)

    def texts(self, name):
        for file in sorted(os.listdir(self.folder)):
            if file.startswith(name + "."):
                with open(os.path.join(self.folder, file), encoding="utf-8", errors="replace") as f:
                    yield f.read()

    def counts(self):
        """{"broker": n, "broker killed": n, "bridge": n, "bridge killed": n}: how many have reported."""
        found = {}
        for name in ("broker", "bridge"):
            texts = list(self.texts(name))
            found[name] = len(texts)
            found[name + " killed"] = sum("</valgrindoutput>" not in text for text in texts)
        return found

    def findings(self, *names, leaks_of_broker=True):
        found = []
        for name in names or ("broker", "bridge"):
            for text in self.texts(name):
                for part in re.findall(r"<error>.*?</error>", text, re.S):
                    error = xml.etree.ElementTree.fromstring(part)
                    kind = error.findtext("kind")
                    if kind in NO_FINDINGS or (name == "broker" and not leaks_of_broker and kind.startswith("Leak_")):
                        continue
                    if name != "broker" or ours(error):
                        found.append("valgrind, %s: %s" % (name, described(error)))
        return found

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def properties(broker):
    """What a test's report tells the summary."""
    return [("valgrind", broker.memcheck)] if broker.memcheck else []


def summary(terminalreporter):
    """One line at the end of a run: how many processes were looked at, and how many of them up to their end."""
    sums = collections.Counter()
    for report in terminalreporter.getreports("") + terminalreporter.getreports("error"):
        if getattr(report, "when", None) == "teardown":
            for name, value in report.user_properties:
                sums.update(value if name == "valgrind" else {})
    if sums:
        terminalreporter.section("valgrind")
        terminalreporter.write_line("%d brokers (%d killed), %d bridges (%d killed)" % tuple(
            sums[name] for name in ("broker", "broker killed", "bridge", "bridge killed")))
