"""The files of the page: which are served, how, and that nothing else is."""

import hashlib
import os
import shutil
import signal
import subprocess

import pytest

from harness.broker import BUILD, PLUGIN, REPO
from harness.dialogue import wait_for

A, B = "alice@example.com", "bob@example.com"
POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
          "connect-src 'self' ws: wss:; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
          "require-trusted-types-for 'script'")
FILES = {
    "index.html": b"<!doctype html><title>x</title>",
    "style.css": b"p{color:red}",
    "app.js": b"export const a = 1\n",
    "chat-client.js": b"export const b = 2\n" * 5000,
    "part.mjs": b"1",
    "strings.json": b"{}",
    "icon.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "icon.png": bytes(range(256)) * 9,
    "favicon.ico": b"\0\0\1\0",
    "robots.txt": "Grüße\n".encode(),
    "font.woff2": b"wOF2",
    "app.webmanifest": b'{"name":"x"}',
    "empty.js": b"",
    "img/Logo_2.x.svg": b"<svg/>",
}
TYPES = {
    "html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8", "json": "application/json", "svg": "image/svg+xml; charset=utf-8",
    "png": "image/png", "ico": "image/x-icon", "txt": "text/plain; charset=utf-8", "woff2": "font/woff2",
    "webmanifest": "application/manifest+json",
}


def write(folder, files):
    for name, content in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(content)
    return str(folder)


@pytest.fixture
def root(tmp_path):
    return write(tmp_path / "web", FILES)


@pytest.fixture
def site(brokers, root):
    return brokers(options={"web_root": root})


def same_head(one, other):
    """Header fields but for the clock."""
    return {k: v for k, v in one.headers.items() if k != "date"} == {k: v for k, v in other.headers.items() if k != "date"}


def test_each_file(site):
    for name, content in FILES.items():
        answer = site.http("GET", "/" + name)
        assert (answer.status, answer.body) == (200, content), name
        assert answer.headers["content-type"] == TYPES[name.rsplit(".", 1)[1]], name
        assert answer.headers["content-length"] == str(len(content))
        assert answer.headers["etag"] == '"%s"' % hashlib.sha256(content).hexdigest()[:32], name
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["connection"] == "close"
        assert answer.headers.get("content-security-policy", "").startswith("default-src 'none'") == \
            name.endswith((".html", ".svg")), name
        head = site.http("HEAD", "/" + name)
        assert head.status == 200 and head.body == b"" and same_head(head, answer), name
        options = site.http("OPTIONS", "/" + name)
        assert options.status == 204 and options.headers["allow"] == "GET, HEAD, OPTIONS"


def test_the_page_itself(site):
    answer = site.http("GET", "/")
    assert answer.status == 200 and answer.body == FILES["index.html"]
    assert answer.headers["content-security-policy"] == POLICY
    assert same_head(answer, site.http("GET", "/index.html"))
    assert site.http("GET", "/?lang=es").body == FILES["index.html"]
    assert site.http("GET", "/app.js?v=2").body == FILES["app.js"]


@pytest.mark.parametrize("field, status", [
    ("%s", 304), ("W/%s", 304), ("*", 304), ('"other", %s', 304), ('W/"a,b" ,\t%s', 304), ('%s,"c"', 304), (', ,%s', 304),
    ('"other"', 200), ("", 200), ('"*"', 200), ("w/%s", 200), ('"other" %s', 200), ('"open, %s', 200),
])
def test_who_has_it_already(site, field, status):
    etag = site.http("GET", "/app.js").headers["etag"]
    field = field.replace("%s", etag)
    answer = site.http("GET", "/app.js", [("If-None-Match", field)])
    assert answer.status == status
    assert answer.body == (b"" if status == 304 else FILES["app.js"])
    assert answer.headers["etag"] == etag and answer.headers["cache-control"] == "no-cache"
    if status == 304:
        assert "content-length" not in answer.headers and "content-type" not in answer.headers
    head = site.http("HEAD", "/app.js", [("If-None-Match", field)])
    assert head.status == status and head.body == b"" and same_head(head, answer)


def test_a_tag_without_its_quotes_is_none(site):
    etag = site.http("GET", "/app.js").headers["etag"]
    assert site.http("GET", "/app.js", [("If-None-Match", etag.strip('"'))]).status == 200
    # Errors have no tag: what is not there is 404 whatever somebody has.
    assert site.http("GET", "/no.js", [("If-None-Match", "*")]).status == 404
    # A bridge that has just started says 503 until it knows who is there.
    wait_for(lambda: site.http("GET", "/users", [("If-None-Match", "*")]).status == 200, "/users")


def test_pages_of_listed_origins_may_import(brokers, root):
    chat = brokers(options={"web_root": root, "allowed_origins": "https://chat.example.com"})
    for method in ("GET", "HEAD", "OPTIONS"):
        answer = chat.http(method, "/chat-client.js", [("Origin", "https://chat.example.com")])
        assert answer.headers["access-control-allow-origin"] == "https://chat.example.com"
        other = chat.http(method, "/chat-client.js", [("Origin", "https://evil.example")])
        assert "access-control-allow-origin" not in other.headers
        assert answer.headers["vary"] == other.headers["vary"] == "Origin"
    etag = chat.http("GET", "/chat-client.js").headers["etag"]
    answer = chat.http("GET", "/chat-client.js", [("Origin", "https://chat.example.com"), ("If-None-Match", etag)])
    assert (answer.status, answer.headers["access-control-allow-origin"], answer.headers["vary"]) == \
        (304, "https://chat.example.com", "Origin")


# what is not served

SKIPPED = {
    ".env": b"SECRET", ".git/config.txt": b"SECRET", "notes.md": b"SECRET", "app.js.bak": b"SECRET", "app.JS": b"SECRET",
    "index.html~": b"SECRET", "chat.db": b"SECRET", "Makefile": b"SECRET", "a b.js": b"SECRET", "a%20b.js": b"SECRET",
    "img/deep/x.js": b"SECRET", "img/.x.js": b"SECRET", "ws/x.js": b"SECRET", "ñ.js": b"SECRET", "n" * 130 + ".js": b"SECRET",
}


def test_what_is_not_served(brokers, root, tmp_path):
    write(root, SKIPPED)
    secret = write(tmp_path / "other", {"secret.js": b"SECRET", "index.html": b"SECRET"})
    os.symlink(os.path.join(secret, "secret.js"), os.path.join(root, "link.js"))
    os.symlink(secret, os.path.join(root, "linked"))
    os.mkfifo(os.path.join(root, "pipe.js"))
    os.mkdir(os.path.join(root, "folder.js"))
    chat = brokers(options={"web_root": root})
    for path in ["/" + name for name in SKIPPED] + [
            "/link.js", "/linked/secret.js", "/linked/", "/pipe.js", "/folder.js", "/folder.js/", "/img", "/img/", "/img/deep",
            "/../other/secret.js", "/img/../app.js", "/./app.js", "//app.js", "/app.js/", "/%61pp.js", "/app.js%00", "/img%2fLogo_2.x.svg",
            "/..%2fother/secret.js", "/img/..%2f..%2fother%2fsecret.js", "/app.js;x", "/APP.JS", "/index", "/index.htm", "/empty",
            "/img//Logo_2.x.svg", "/img\\Logo_2.x.svg"]:
        if " " in path or "ñ" in path:
            continue
        answer = chat.http("GET", path)
        assert answer.status == (426 if path.startswith("/ws/") else 404), path
        assert b"SECRET" not in answer.body
    for path in ("/a%20b.js", "/%C3%B1.js"):
        assert chat.http("GET", path).status == 404
    for name, content in FILES.items():
        assert chat.http("GET", "/" + name).body == content
    # What was left out stands in the log: ten by name, and how many more.
    chat.wait_log(r"chat-bridge: the page: \S+ is not served: ")
    skipped = len(SKIPPED) + 3  # two links and a pipe
    assert chat.log().count(" is not served: ") == 10
    chat.wait_log(r"chat-bridge: the page: %d more files are not served" % (skipped - 10))
    chat.wait_log(r"chat-bridge: the page: %d files, %d bytes" % (len(FILES), sum(map(len, FILES.values()))))


@pytest.mark.parametrize("name, why", [
    ("notes.md", "kind"), (".env", "dot"), ("a b.js", "names"), ("img/deep/x.js", "folders"), ("ws/x.js", "sessions"),
])
def test_what_is_left_out_is_named(brokers, root, name, why):
    write(root, {name: b"x"})
    chat = brokers(options={"web_root": root})
    shown = name.split("/x.js")[0] if "/" in name else name
    chat.wait_log(r"chat-bridge: the page: %s is not served: .*%s" % (shown, why))


def test_no_more_than_64_files_and_4_megabytes(brokers, tmp_path):
    many = write(tmp_path / "many", {"f%03d.txt" % n: b"x" for n in range(70)} | {"index.html": b"page"})
    chat = brokers(options={"web_root": many})
    assert sum(chat.http("GET", "/f%03d.txt" % n).status == 200 for n in range(70)) == 63
    assert chat.http("GET", "/").body == b"page"
    assert chat.log().count("there are more than 64 files") == 7
    large = write(tmp_path / "large", {"a.txt": b"x" * (3 << 20), "b.txt": b"x" * (3 << 20), "index.html": b"page"})
    chat = brokers(options={"web_root": large})
    assert sum(chat.http("GET", "/%s.txt" % n).status == 200 for n in "ab") == 1
    assert chat.http("GET", "/").body == b"page"
    assert chat.log().count("larger than 4 MB") == 1


def test_read_once(site, root):
    """What is served is what was there at the start: of this bridge process."""
    write(root, {"app.js": b"changed", "new.js": b"new"})
    assert site.http("GET", "/app.js").body == FILES["app.js"]
    assert site.http("GET", "/new.js").status == 404
    first = site.bridge_pids()
    site.allow("next start in")
    os.kill(first[0], signal.SIGKILL)
    site.wait_bridges(but=first)
    assert site.http("GET", "/app.js").body == b"changed"
    assert site.http("GET", "/new.js").body == b"new"


def test_a_page_that_has_gone_takes_nothing_along(site, root):
    first = site.bridge_pids()
    site.allow("next start in", "the page cannot be read")
    shutil.rmtree(root)
    os.kill(first[0], signal.SIGKILL)
    site.wait_bridges(but=first)
    assert site.http("GET", "/").status == 404
    site.wait_log("chat-bridge: the page cannot be read from %s" % root)
    alice, bob = site.ws(A), site.ws(B)
    alice.send({"message": "hi"})
    bob.expect_message("hi", A)


def test_several_bridges_give_the_same_tags(brokers, root):
    chat = brokers(options={"web_root": root, "bridges": "2"})
    assert len({chat.http("GET", "/app.js").headers["etag"] for _ in range(20)}) == 1


# the option

def test_off(brokers):
    chat = brokers(options={"web_root": "off"})
    answer = chat.http("GET", "/")
    assert answer.status == 404 and answer.json["error"] == "not_found"
    assert "the page" not in chat.log() and "no page" not in chat.log()


@pytest.mark.parametrize("make, why", [
    (lambda root: shutil.rmtree(root), "No such file"),
    (lambda root: os.remove(root + "/index.html"), "no index.html"),
    (lambda root: (os.remove(root + "/index.html"), os.mkdir(root + "/index.html")), "regular"),
    (lambda root: (os.remove(root + "/index.html"), os.symlink("app.js", root + "/index.html")), "symbolic link"),
    (lambda root: (os.remove(root + "/index.html"), os.mkfifo(root + "/index.html")), "regular"),
    (lambda root: (shutil.rmtree(root), write(os.path.dirname(root), {"web": b""})), "Not a directory"),
], ids=["no folder", "no index", "index is a folder", "index is a link", "index is a pipe", "a file"])
def test_a_folder_that_is_no_page(brokers, root, make, why):
    make(root)
    chat = brokers(start=False, options={"web_root": root})
    log = chat.start_refused()
    with open(chat.conf_path) as conf:
        number = 1 + [x.strip() for x in conf].index("plugin_opt_web_root " + root)
    line = next(line for line in log.splitlines() if "plugin_opt_web_root" in line)
    assert why in line and "%s:%d: " % (chat.conf_path, number) in line, line
    assert not chat.orphans()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can lend the broker another user's eyes")
def test_a_folder_that_the_brokers_user_cannot_read(brokers, root):
    os.chmod(root, 0o700)
    chat = brokers(start=False, options={"web_root": root})
    chat.config = lambda make=chat.config: make().replace("user root", "user nobody")
    os.chmod(chat.folder, 0o777)
    log = chat.start_refused()
    assert "plugin_opt_web_root" in log and "Permission denied" in log, log


def test_a_linked_root(brokers, root, tmp_path):
    """The folder itself may be a link: that is the operator's own."""
    os.symlink(root, tmp_path / "current")
    chat = brokers(options={"web_root": str(tmp_path / "current")})
    assert chat.http("GET", "/").body == FILES["index.html"]


# the default

def test_the_build_tree_has_the_page(brokers):
    chat = brokers()
    with open(os.path.join(REPO, "web", "index.html"), "rb") as f:
        assert chat.http("GET", "/").body == f.read()
    for folder, _, names in os.walk(os.path.join(REPO, "web")):
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), os.path.join(REPO, "web"))
            with open(os.path.join(folder, name), "rb") as f:
                answer = chat.http("GET", "/" + path)
                assert answer.status == 200 and answer.body == f.read(), path
    assert " is not served" not in chat.log()


def copied_plugin(tmp_path):
    os.makedirs(tmp_path / "lib" / "mosquitto")
    return shutil.copy(PLUGIN, tmp_path / "lib" / "mosquitto" / "mosquitto_chat.so")


def test_a_page_in_the_plugins_own_folder(brokers, tmp_path):
    plugin = copied_plugin(tmp_path)
    write(tmp_path / "lib" / "mosquitto" / "web", FILES)
    assert brokers(plugin=plugin).http("GET", "/").body == FILES["index.html"]
    # ../web comes before it, and a folder without an index.html is passed over.
    write(tmp_path / "lib" / "web", {"app.js": b"x"})
    assert brokers(plugin=plugin).http("GET", "/").body == FILES["index.html"]
    write(tmp_path / "lib" / "web", {"index.html": b"beside"})
    assert brokers(plugin=plugin).http("GET", "/").body == b"beside"


def test_no_page_anywhere(brokers, tmp_path):
    """A warning, and everything else works."""
    if os.path.exists("/usr/local/share/mosquitto-chat/web"):
        pytest.skip("a page is installed")
    chat = brokers(plugin=copied_plugin(tmp_path))
    assert len([x for x in chat.log().splitlines() if "no page was found" in x and "plugin_opt_web_root" in x]) == 1
    assert chat.http("GET", "/").status == 404
    alice, bob = chat.ws(A), chat.ws(B)
    alice.send({"message": "hi"})
    bob.expect_message("hi", A)


def test_installed(tmp_path):
    subprocess.run(["cmake", "--install", BUILD], env=dict(os.environ, DESTDIR=str(tmp_path)), check=True, capture_output=True)
    found = [os.path.join(folder, name) for folder, _, names in os.walk(tmp_path) for name in names if name == "index.html"]
    assert len(found) == 1 and found[0].endswith("/share/mosquitto-chat/web/index.html"), found
