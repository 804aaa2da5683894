"""The manual pages: every option, in the words of config/mosquitto.conf; and nothing that man warns of."""

import gzip
import os
import re
import subprocess

import pytest

REPO = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
CONFIG = os.path.join(REPO, "config", "mosquitto.conf")
PAGES = ["man5/mosquitto-chat.conf.5", "man8/mosquitto-chat-bridge.8"]


def section(path):
    return subprocess.run(["awk", "-f", os.path.join(REPO, "package", "options.awk"), path], capture_output=True, text=True)


@pytest.fixture(scope="module")
def pages(deb, tmp_path_factory):
    """The pages of the package, unpacked: {name: path}."""
    folder = tmp_path_factory.mktemp("deb")
    subprocess.run(["dpkg-deb", "--extract", deb, str(folder)], check=True)
    found = {}
    for name in PAGES:
        with gzip.open(folder / "usr/share/man" / (name + ".gz"), "rb") as f:
            (folder / os.path.basename(name)).write_bytes(f.read())
        found[os.path.basename(name)] = str(folder / os.path.basename(name))
    return found


def test_man_has_no_complaint(pages):
    for path in pages.values():
        done = subprocess.run(["man", "--warnings", "--local-file", "-Tutf8", path], capture_output=True, text=True, check=True,
                              env=dict(os.environ, LC_ALL="C.UTF-8", MANPAGER="cat"))
        assert done.stderr == ""
        assert len(done.stdout) > 1000


@pytest.fixture
def options(pages):
    """The section OPTIONS, as it was written."""
    with open(pages["mosquitto-chat.conf.5"]) as f:
        return f.read().split("\n.SH OPTIONS\n", 1)[1].split("\n.SH ", 1)[0]


def test_every_option_has_an_entry(options):
    with open(os.path.join(REPO, "plugin", "option_readers.c")) as f:
        table = f.read().split("option_readers[] = {", 1)[1]
    known = re.findall(r'^ +\{"([a-z_]+)", (?:option_)?read_', table, re.M)
    assert len(known) > 40
    entries = re.findall(r"^\.T[PQ]\n\.B plugin_opt_([a-z_]+)\\fR \S", options, re.M)
    assert sorted(entries) == sorted(known)


def test_the_words_are_those_of_the_configuration(options):
    lines = [re.sub(r"\\f[BR]|\\&|^\.B ", "", line).replace("\\-", "-").replace("\\e", "\\") for line in options.splitlines()]
    with open(CONFIG) as f:
        wanted = re.findall(r"^# (plugin_opt_.*|  \S.*)", f.read().split("# --- where it listens", 1)[1], re.M)
    assert len(wanted) > 150
    for line in wanted:
        assert line.replace("`", "").strip() in lines


@pytest.mark.parametrize("entry, complaint", [
    ("# plugin_opt_x\n#   text\n", "plugin_opt_x has no syntax"),
    ("# plugin_opt_x <n>\n#   text\n", "plugin_opt_x has no default"),
    ("# plugin_opt_x <n>, default 1\n\n", "no text says what plugin_opt_x is"),
    ("# plugin_opt_x <n>, default 1\n#   a `b\n\n", "a ` has no second one in the text of plugin_opt_x"),
    ("# plugin_opt_x <n>, default 1\n#   text\n# plugin_opt_x <n>, default 1\n#   text\n", "plugin_opt_x stands here twice"),
    ("#plugin_opt_x 1\n", "plugin_opt_x is set and not described"),
])
def test_an_entry_that_says_too_little(tmp_path, entry, complaint):
    path = tmp_path / "mosquitto.conf"
    path.write_text("# --- where it listens ---\n" + entry)
    done = section(str(path))
    assert done.returncode == 1
    assert re.fullmatch(r"%s:\d+: %s\n" % (re.escape(str(path)), re.escape(complaint)), done.stderr), done.stderr


def test_roff_in_the_text(tmp_path):
    path = tmp_path / "mosquitto.conf"
    path.write_text("# --- names ---\n# plugin_opt_x on | off, default on\n#   .so C:\\n\n#   off: no `-x`\n")
    assert section(str(path)).stdout == (
        ".SS Names\n.TP\n.B plugin_opt_x\\fR on | off, default on\n\\&.so C:\\en\n.br\noff: no \\fB\\-x\\fR\n")
