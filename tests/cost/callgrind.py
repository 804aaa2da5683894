"""Instructions that a running program takes between two moments, counted by valgrind's callgrind.

They depend on program, libraries and dialogue, not on how busy the machine is, so they can be held against a ceiling where
seconds cannot.
"""

import glob
import os
import re
import subprocess

PATIENCE = 60  # seconds that a command to a program in valgrind may take


def command(folder, name):
    """What stands before the program; its counts go into the folder under that name."""
    return ["valgrind", "--quiet", "--tool=callgrind", "--callgrind-out-file=%s/%s" % (folder, name)]


def _tell(pid, word):
    subprocess.run(["vgdb", "--pid=%d" % pid, word], check=True, timeout=PATIENCE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def begin(pid):
    """Counts from now on."""
    _tell(pid, "zero")


class Counts:
    """What has been counted since begin()."""

    def __init__(self, pid, folder, name):
        before = set(glob.glob("%s/%s*" % (glob.escape(folder), name)))
        _tell(pid, "dump")
        [path] = set(glob.glob("%s/%s*" % (glob.escape(folder), name))) - before
        text = subprocess.run(["callgrind_annotate", "--inclusive=yes", "--threshold=100", "--auto=no", path], check=True,
                              stdout=subprocess.PIPE, text=True, timeout=PATIENCE).stdout
        self.functions = {}
        self.total = 0
        for line in text.splitlines():
            found = re.match(r"\s*([\d,]+) \([ \d.]+%\)\s+(\S.*)$", line)
            if not found:
                continue
            count, what = int(found.group(1).replace(",", "")), found.group(2)
            if what == "PROGRAM TOTALS":
                self.total = count
                continue
            name = re.match(r"(?:[^:]*/)?([^/:]+):([A-Za-z_]\w*)", what)
            if name:
                key = name.group(1) + ":" + name.group(2).split("'")[0]
                self.functions[key] = max(self.functions.get(key, 0), count)
        assert self.total > 0, text[:2000]
        os.unlink(path)

    def of(self, function):
        """Of "file.c:function" and all that it has called."""
        assert function in self.functions, "no %s among %r" % (function, sorted(self.functions)[:200])
        return self.functions[function]
