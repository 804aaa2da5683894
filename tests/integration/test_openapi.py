"""docs/openapi.yaml and the server say the same: each status of each operation there is asked for here, each answer is held
against it, and neither has one that the other has not."""

import json
import os
import re
import resource

import jsonschema
import pytest
import yaml

from harness import valgrind as memcheck
from harness.broker import REPO
from harness.dialogue import wait_for
from harness.history import say, wait_stored, with_history
from harness.tokens import with_tokens
from harness.websocket import HttpAnswer

A, B = "alice@example.com", "bob@example.com"
METHODS = ("get", "head", "options")

# Paths that are written down and not there yet. One that has come is taken out; its cases stand below.
LATER = set()

# One real path for each of the document.
REAL = {
    "/": "/",
    "/{file}": "/app.js",
    "/{folder}/{file}": "/img/logo.svg",
    "/users": "/users",
    "/rooms/{room}/messages": "/rooms/general/messages",
    "/messages/{pair}": "/messages/%s_%s" % (A, B),
    "/health": "/health",
    "/ready": "/ready",
    "/metrics": "/metrics",
    "/ws/{email}": "/ws/" + A,
    "/mqtt": "/mqtt",
}
FILES = ["app.js", "a.mjs", "style.css", "a.json", "a.svg", "a.png", "a.ico", "a.txt", "a.woff2", "a.webmanifest", "index.html", "img/logo.svg"]

# Fields that every answer may have and that the document tells of in general.
GENERAL = {"date", "connection", "content-type", "content-length", "x-content-type-options"}

with open(os.path.join(REPO, "docs", "openapi.yaml")) as f:
    DOCUMENT = yaml.safe_load(f)


def inline(node):
    """Without references: what they point to in their place."""
    if isinstance(node, dict):
        if "$ref" in node:
            assert list(node) == ["$ref"] and node["$ref"].startswith("#/"), node
            target = DOCUMENT
            for part in node["$ref"][2:].split("/"):
                target = target[part]
            return inline(target)
        return {key: inline(value) for key, value in node.items()}
    return [inline(one) for one in node] if isinstance(node, list) else node


PATHS = inline(DOCUMENT["paths"])


# the document by itself

def closed(needed, **properties):
    return {"type": "object", "required": needed.split(), "additionalProperties": False, "properties": properties}


TEXT, FLAG, ANY = {"type": "string", "minLength": 1}, {"type": "boolean"}, {}
SCHEMA = {"type": ["object", "boolean"]}
HEADER = closed("schema", description=TEXT, required=FLAG, schema=SCHEMA)
PARAMETER = closed("name in schema", name=TEXT, required=FLAG, description=TEXT, schema=SCHEMA, example=ANY,
                   **{"in": {"enum": ["path", "query", "header"]}})
RESPONSE = closed("description", description=TEXT, headers={"type": "object", "additionalProperties": HEADER},
                  content={"type": "object", "minProperties": 1, "additionalProperties": closed("schema", schema=SCHEMA)})
OPERATION = closed("tags operationId summary responses", tags={"type": "array", "items": TEXT, "minItems": 1}, operationId=TEXT, summary=TEXT,
                   description=TEXT, parameters={"type": "array", "items": PARAMETER},
                   security={"type": "array", "minItems": 1, "items": {"type": "object", "additionalProperties": {"const": []}}},
                   responses={"type": "object", "minProperties": 1, "additionalProperties": False, "patternProperties": {"^[1-5][0-9]{2}$": RESPONSE}})
PATH = closed("get head options", parameters={"type": "array", "items": PARAMETER}, get=OPERATION, head=OPERATION, options=OPERATION)
OPENAPI = closed(
    "openapi info servers tags paths components", openapi={"pattern": "^3\\.1\\.[0-9]+$"},
    info=closed("title version", title=TEXT, version=TEXT, summary=TEXT, description=TEXT, license=closed("name identifier", name=TEXT, identifier=TEXT)),
    servers={"type": "array", "minItems": 1, "items": closed("url", url={"pattern": "^https?://[^/]+$"})},
    tags={"type": "array", "items": closed("name description", name=TEXT, description=TEXT)},
    paths={"type": "object", "minProperties": 1, "additionalProperties": False, "patternProperties": {"^/": PATH}},
    components=closed("", securitySchemes={"type": "object"}, parameters={"type": "object"}, headers={"type": "object"}, responses={"type": "object"}, schemas={"type": "object"}))


def walk(node):
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value)


def test_it_is_openapi():
    jsonschema.Draft202012Validator(OPENAPI).validate(inline(DOCUMENT))
    for node in walk(PATHS):
        if "schema" in node:
            jsonschema.Draft202012Validator.check_schema(node["schema"])


def test_every_reference_leads_somewhere_and_nothing_is_left_over():
    used = {node["$ref"] for node in walk(DOCUMENT) if "$ref" in node}
    used |= {"#/components/securitySchemes/" + name for node in walk(PATHS) for one in node.get("security", []) for name in one}
    there = {"#/components/%s/%s" % (kind, name) for kind, names in DOCUMENT["components"].items() for name in names}
    assert used == there, used ^ there


def test_names_and_parameters():
    ids = [PATHS[path][method]["operationId"] for path in PATHS for method in METHODS]
    assert len(ids) == len(set(ids))
    tags = {tag["name"] for tag in DOCUMENT["tags"]}
    for path, item in PATHS.items():
        declared = {p["name"] for p in item.get("parameters", []) if p["in"] == "path"}
        assert declared == set(re.findall(r"{(\w+)}", path)), path
        assert all(p["required"] for p in item.get("parameters", []))
        for method in METHODS:
            operation = item[method]
            assert set(operation["tags"]) <= tags
            names = [(p["in"], p["name"]) for p in operation.get("parameters", [])]
            assert len(names) == len(set(names)) and all(where != "path" for where, _ in names)
    assert set(REAL) == set(PATHS)


def test_the_version_is_the_projects():
    with open(os.path.join(REPO, "CMakeLists.txt")) as f:
        assert DOCUMENT["info"]["version"] == re.search(r"project\(mosquitto-chat VERSION (\S+)", f.read()).group(1)


# the document and the server

class Book:
    """What the server has answered, each answer held against the document."""

    def __init__(self):
        self.seen = set()
        self.types = {}
        self.chat = None

    def ask(self, path, method, headers=(), body=b"", real=None, as_method=None, **more):
        """One plain request; returns the status."""
        real = real or REAL[path]
        return self.hold(path, as_method or method, self.chat.http(method.upper(), real, headers, body, **more), real)

    def hold(self, path, method, answer, real):
        where = "%s %s (%s): %d" % (method.upper(), real, path, answer.status)
        response = PATHS[path][method]["responses"].get(str(answer.status))
        assert response is not None, "%s is not in the document: %r" % (where, answer.body)
        self.seen.add((path, method, answer.status))
        fields = dict(answer.headers)
        declared = {name.lower(): header for name, header in response.get("headers", {}).items()}
        for name, header in declared.items():
            assert name in fields or not header.get("required"), "%s has no %s" % (where, name)
            if name in fields:
                jsonschema.validate(fields[name], header["schema"])
        assert set(fields) <= set(declared) | GENERAL, "%s has %s" % (where, set(fields) - set(declared) - GENERAL)
        if answer.status == 101:
            return 101
        assert fields["x-content-type-options"] == "nosniff" and "date" in fields and "close" in fields["connection"], where
        content = response.get("content")
        if content is None:
            assert answer.body == b"" and "content-type" not in fields, where
            return answer.status
        kind = fields["content-type"]
        assert kind in content, "%s: %s" % (where, kind)
        self.types.setdefault((path, method, answer.status), set()).add(kind)
        unread = answer.status in (429, 503) and answer.body != b""  # may be said before the request is read
        if method == "head" and not unread:
            assert answer.body == b"", where
        elif kind == "application/json":
            jsonschema.Draft202012Validator(content[kind]["schema"]).validate(json.loads(answer.body))
        return answer.status

    def upgrade(self, path, status, **more):
        """The same of a WebSocket handshake."""
        try:
            session = self.chat.raw_ws(path=REAL[path], **more)
            answer = HttpAnswer(101, session.headers, b"")
        except HttpAnswer as refused:
            answer = refused
        assert self.hold(path, "get", answer, REAL[path]) == status


def there():
    return [path for path in REAL if path not in LATER]


def everything_fine(book, brokers, root):
    """History, a page, somebody who is connected."""
    chat = book.chat = with_history(brokers, web_root=root)
    frames = say(chat, ["one", "two"]) + say(chat, ["psst"], to=B)
    wait_stored(chat, *[frame["id"] for frame in frames])
    chat.ws(A)
    wait_for(lambda: A in chat.http("GET", "/users").body.decode(), "Alice among the users")
    for path in there():
        for method in METHODS:
            status = book.ask(path, method)
            assert status == (204 if method == "options" else 426 if path in ("/ws/{email}", "/mqtt") else 200), (path, method, status)
            assert book.ask(path, method, [("Content-Length", "1")], b"x") == 400
            assert book.ask(path, method, [("X-Long", "y" * 20000)]) == 431
            assert book.ask(path, method, version="HTTP/2.0") == 505
        assert book.ask(path, "post", as_method="get") == 405
    for name in FILES:
        path = "/{folder}/{file}" if "/" in name else "/{file}"
        for method in ("get", "head"):
            assert book.ask(path, method, real="/" + name) == 200
            assert book.ask(path, method, [("If-None-Match", "*")], real="/" + name) == 304
    for method in ("get", "head"):
        assert book.ask("/", method, [("If-None-Match", "*")]) == 304
        assert book.ask("/rooms/{room}/messages", method, real="/rooms/BAD/messages") == 400
        assert book.ask("/messages/{pair}", method, real=REAL["/messages/{pair}"] + "?limit=x") == 400
        assert book.ask("/metrics", method, [("X-Forwarded-For", "127.0.0.1")]) == 403
    for method in METHODS:
        assert book.ask("/{file}", method, real="/none.js") == 404
        assert book.ask("/{folder}/{file}", method, real="/img/none.js") == 404
    book.upgrade("/ws/{email}", 101)
    book.upgrade("/ws/{email}", 101, headers=[("Sec-WebSocket-Protocol", "bearer, x")])
    book.upgrade("/ws/{email}", 426, headers=[("Sec-WebSocket-Version", "8")])
    book.upgrade("/ws/{email}", 400, headers=[("Sec-WebSocket-Key", "short")])
    book.upgrade("/mqtt", 101, headers=[("Sec-WebSocket-Protocol", "mqtt")])
    book.upgrade("/mqtt", 400)


def nothing_there(book, brokers):
    """No page, no history, no tunnel, no metrics."""
    book.chat = brokers(options={"web_root": "off", "mqtt": "off", "metrics": "off"})
    for path in ("/", "/{file}", "/{folder}/{file}", "/mqtt"):
        for method in METHODS:
            assert book.ask(path, method) == 404
    for path in ("/rooms/{room}/messages", "/messages/{pair}", "/metrics"):
        for method in ("get", "head"):
            assert book.ask(path, method) == 404


def listed_origins(book, brokers, root):
    book.chat = with_history(brokers, web_root=root, allowed_origins="https://chat.example.com")
    for origin in ("https://chat.example.com", "https://evil.example"):
        for path in there():
            for method in METHODS:
                book.ask(path, method, [("Origin", origin)])
        for path in ("/ws/{email}", "/mqtt"):
            if path in there():
                subprotocol = [("Sec-WebSocket-Protocol", "mqtt")] if path == "/mqtt" else []
                book.upgrade(path, 403 if "evil" in origin else 101, headers=[("Origin", origin)] + subprotocol)


def asked_who_they_are(book, brokers):
    """Tokens, and passwords, which are for sessions alone."""
    chat = book.chat = with_tokens(brokers, history=True)
    for path in ("/users", "/rooms/{room}/messages", "/messages/{pair}"):
        for method in ("get", "head"):
            assert book.ask(path, method) == 401
            assert book.ask(path, method, [("Authorization", "Bearer x")]) == 401
            wait_for(lambda: book.ask(path, method, [("Authorization", "Bearer " + chat.issuer.token(A))]) == 200, "200 for " + path)
        assert book.ask(path, "options") == 204
    for method in ("get", "head"):
        assert book.ask("/messages/{pair}", method, [("Authorization", "Bearer " + chat.issuer.token("carol@example.com"))]) == 403
    book.upgrade("/ws/{email}", 101)
    book.chat = with_history(brokers, auth="broker")
    for path in ("/users", "/rooms/{room}/messages", "/messages/{pair}"):
        for method in ("get", "head"):
            assert book.ask(path, method) == 403


def too_many_connections(book, brokers, root):
    book.chat = brokers(options={"web_root": root, "rate_connects": "1/s burst 1"})
    for path in there():
        for method in METHODS:
            # One a second is let in.
            wait_for(lambda: book.ask(path, method) == 429, "429 for %s %s" % (method, path))


def no_descriptors(book, brokers, root):
    chat = book.chat = with_history(brokers, web_root=root)
    chat.allow("chat-bridge")
    wait_for(lambda: chat.http("GET", "/users").status == 200, "an answer to /users")
    [pid] = chat.bridge_pids()
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)

    def refused(path, method):
        # Each time anew: the highest may have been that of a connection which was about to end.
        highest = max(int(n) for n in os.listdir("/proc/%d/fd" % pid))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1, before[1]))
        return book.ask(path, method) == 503

    for path in there():
        for method in METHODS:
            wait_for(lambda: refused(path, method), "503 for %s %s" % (method, path))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


@memcheck.OWN_DESCRIPTORS
def test_the_server_answers_as_it_says(brokers, tmp_path):
    root = str(tmp_path / "web")
    os.makedirs(root + "/img")
    for name in FILES:
        with open(os.path.join(root, name), "wb") as f:
            f.write(b"{}")
    book = Book()
    everything_fine(book, brokers, root)
    for path in LATER:
        assert book.chat.http("GET", REAL[path]).status == 404, "%s is there now: take it out of LATER" % path
    nothing_there(book, brokers)
    listed_origins(book, brokers, root)
    asked_who_they_are(book, brokers)
    too_many_connections(book, brokers, root)
    no_descriptors(book, brokers, root)
    documented = {(path, method, int(status)) for path in there() for method in METHODS for status in PATHS[path][method]["responses"]}
    assert book.seen == documented, "not in the document: %s; not seen: %s" % (book.seen - documented, documented - book.seen)
    # Each kind of file has come as well.
    files = set(PATHS["/{file}"]["get"]["responses"]["200"]["content"])
    assert book.types["/{file}", "get", 200] == files


@pytest.mark.parametrize("status, headers, body", [
    (418, {}, b""),
    (200, {}, b'{"status":"fine"}'),
    (200, {"x-more": "1"}, b'{"status":"ok"}'),
    (200, {"cache-control": "max-age=5"}, b'{"status":"ok"}'),
    (200, {"cache-control": None}, b'{"status":"ok"}'),
    (200, {"content-type": "text/html"}, b'{"status":"ok"}'),
])
def test_a_difference_is_noticed(status, headers, body):
    """The measure itself: what the document does not have fails."""
    fields = {"date": "x", "connection": "close", "content-type": "application/json", "content-length": "1", "x-content-type-options": "nosniff",
              "cache-control": "no-store", "access-control-allow-origin": "*"}
    Book().hold("/health", "get", HttpAnswer(200, fields, b'{"status":"ok"}'), "/health")
    fields = {name: value for name, value in {**fields, **headers}.items() if value is not None}
    with pytest.raises((AssertionError, jsonschema.ValidationError)):
        Book().hold("/health", "get", HttpAnswer(status, fields, body), "/health")
