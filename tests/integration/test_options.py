"""plugin_opt_*: what is not understood stops the broker, and the log says which and why."""

import os
import re
import socket
import subprocess

import pytest

from harness.broker import MOSQUITTO, processes, running, stat_fields
from harness.dialogue import wait_for

A, B = "alice@example.com", "bob@example.com"


def refuses(brokers, option, value, **more):
    broker = brokers(start=False, bridge=False, options={option: value}, **more)
    log = broker.start_refused()
    # The option as it is written, and in the same line why.
    line = next((line for line in log.splitlines() if "plugin_opt_" + option in line), None)
    assert line, log
    assert len(line.split("plugin_opt_" + option, 1)[1].strip()) > len(value), line
    return broker, line


@pytest.mark.parametrize("option", ["prot", "ports", "Port", "PORT", "por", "x" * 300, "port_", "_port"])
def test_unknown_options(brokers, option):
    broker = brokers(start=False, bridge=False, options={option: "8000"})
    log = broker.start_refused()
    shown = "plugin_opt_" + option[:40]
    line = next((line for line in log.splitlines() if shown in line), None)
    assert line and "8000" in line, log


def test_the_line_is_named(brokers):
    broker, line = refuses(brokers, "prot", "8000")
    with open(broker.conf_path) as conf:
        number = 1 + [x.strip() for x in conf].index("plugin_opt_prot 8000")
    assert broker.conf_path in line and re.search(r"\b%d\b" % number, line), line


@pytest.mark.parametrize("option, value", [
    ("port", "0"), ("port", "65536"), ("port", "80a"), ("port", "-1"), ("port", "0x50"), ("port", "8000 9000"),
    ("port", "99999999999999999999"), ("port", "8000.0"), ("port", "+8000"),
    ("bind_address", "nowhere"), ("bind_address", "127.0.0.256"), ("bind_address", "127.0.0.1:80"),
    ("broker_socket", "/" + "x" * 120),
    ("bridges", "0"), ("bridges", "-1"), ("bridges", "many"), ("bridges", "1000000"),
    ("topic_root", "#"), ("topic_root", "chat/"), ("topic_root", "/chat"), ("topic_root", "a//b"),
    ("topic_root", "$SYS"), ("topic_root", "a+b"), ("topic_root", "x" * 65), ("topic_root", "a b"),
    ("room", "General"), ("room", "x" * 65), ("room", "a/b"), ("room", "a b"),
    ("mqtt", "yes"), ("mqtt", "On"), ("mqtt", "/mqtt"),
    ("fanout", "all"), ("fanout", "Shared"), ("fanout", "shared session"),
    ("other_topics", "deny"), ("other_topics", "yes"),
    ("auth", "token"), ("auth", "None"), ("auth", "off"), ("auth", "token broker"),
    ("allowed_origins", "chat.example.com"), ("allowed_origins", "https://a.example/path"),
    ("allowed_origins", "https://a.example,"), ("allowed_origins", "https://*.example.com"),
    ("allowed_origins", "*,https://a.example"),
    ("trusted_proxies", "none"), ("trusted_proxies", "10.0.0.1/8"), ("trusted_proxies", "10.0.0.0/8,"),
    ("max_message_chars", "0"), ("max_message_chars", "-5"), ("max_message_chars", "4000chars"),
    ("max_frame_bytes", "0"), ("max_frame_bytes", "64kb"), ("max_frame_bytes", "1g"), ("max_frame_bytes", "99999999m"),
    ("header_timeout", "5"), ("header_timeout", "5x"), ("header_timeout", "0s"), ("header_timeout", "-1s"),
    ("unknown_fields", "ignore"), ("unknown_fields", "Reject"),
    ("rate_messages", "20"), ("rate_messages", "20/m"), ("rate_messages", "0/s"), ("rate_messages", "20/s burst"),
    ("rate_messages", "20/s burst 0"), ("rate_messages", "fast"), ("rate_messages", "20/s burst 40 x"),
    ("rate_connects", "20"), ("rate_connects", "x/s burst 1"),
    ("sessions", "newest"), ("sessions", "All"), ("sessions", "1"),
    ("session_expiry", "300"), ("session_expiry", "31d"), ("session_expiry", "-1s"), ("session_expiry", "never"),
    ("presence_grace", "3"), ("presence_grace", "11m"), ("presence_grace", "-1s"), ("presence_grace", "0"),
    ("presence_grace", "soon"),
    ("drain", "60"), ("drain", "0s"), ("drain", "2h"), ("drain", "on"),
    ("max_sessions", "0"), ("max_sessions", "10k0"), ("max_sessions_per_user", "-1"), ("max_sessions_per_user", "none"),
    ("outbox_bytes", "lots"), ("outbox_bytes", "-1m"), ("outbox_seconds", "30"), ("outbox_seconds", "soon"),
    ("ping_interval", "0"), ("ping_interval", "25"), ("ping_timeout", "ten"),
    ("notices", "de"), ("notices", "EN"), ("system_sender", "x" * 65), ("system_sender", "a\tb\x01"),
    ("bridge_program", "relative/path"),
    ("log_format", "xml"), ("metrics", "yes"), ("metrics", "/metrics"), ("metrics_allow", "none"), ("metrics_allow", "10.0.0.1/8"),
    ("sessions", "newest"), ("sessions", "All"), ("sessions", "1"),
    ("session_expiry", "300"), ("session_expiry", "31d"), ("session_expiry", "-1s"), ("session_expiry", "never"),
    ("presence_grace", "3"), ("presence_grace", "11m"), ("presence_grace", "-1s"), ("presence_grace", "0"),
    ("presence_grace", "soon"),
    ("history_file", "chat.db"), ("history_file", "off"),
    ("history_days", "30"), ("history_days", "0d"), ("history_days", "month"), ("history_days", "-1d"),
    ("history_messages", "0"), ("history_messages", "all"), ("history_messages", "-1"), ("history_messages", "1g"),
    ("history_messages", "99999999m"), ("history_sync", "yes"), ("history_sync", "ON"), ("history_sync", "full"),
    ("token_key_file", "token.key"), ("token_jwks_file", "off"),
    ("tls_cert_file", "cert.pem"), ("tls_key_file", "key.pem"), ("tls_key_file", "none"),
    ("chat_config", "chat.conf"), ("chat_config", "off"),
    ("history_queue_bytes", "1k"), ("history_queue_bytes", "2g"), ("history_queue_bytes", "16mb"),
    ("web_root", "web"), ("web_root", "./web"), ("web_root", "on"),
])
def test_malformed_values(brokers, option, value):
    refuses(brokers, option, value)


@pytest.mark.parametrize("option", ["port", "room", "bridges", "fanout", "rate_messages", "notices"])
def test_values_left_out(brokers, option):
    """mosquitto itself may refuse a plugin_opt line without a value; then it names the line."""
    broker = brokers(start=False, bridge=False, options={option: None}, plugin_lines=["plugin_opt_%s" % option])
    log = broker.start_refused()
    assert "plugin_opt_" + option in log or re.search(r"(?i)empty|%s" % re.escape(broker.conf_path), log), log


@pytest.mark.parametrize("option, first, second", [("room", "lobby", "lobby"), ("port", None, "8123"), ("room", "a", "b")])
def test_an_option_given_twice(brokers, option, first, second):
    options = {option: first} if first else {}
    broker = brokers(start=False, bridge=False, options=options, plugin_lines=["plugin_opt_%s %s" % (option, second)])
    log = broker.start_refused()
    line = next(line for line in log.splitlines() if "plugin_opt_" + option in line)
    assert "twice" in line or "once" in line or "again" in line, line


def test_the_broker_socket_is_required(brokers):
    broker = brokers(start=False, options={"broker_socket": None})
    log = broker.start_refused()
    assert "broker_socket" in log and "listener 0" in log, log


@pytest.mark.parametrize("options", [
    {"port": None, "bridge_program": "off"},
    {"max_message_chars": "1", "max_frame_bytes": "1k", "header_timeout": "1500ms", "bridges": "2", "rate_messages": "5/s burst 7",
     "rate_connects": "5/s", "max_sessions": "5", "max_sessions_per_user": "1", "outbox_bytes": "64k", "outbox_seconds": "1s",
     "ping_interval": "1m", "ping_timeout": "2s", "notices": "es", "system_sender": "Casa", "auth": "none", "fanout": "session",
     "allowed_origins": "https://a.example,http://localhost:3000", "other_topics": "allow", "unknown_fields": "drop",
     "history_days": "90s", "history_messages": "500k", "history_sync": "on", "history_queue_bytes": "1m"},
    {"room": "lobby ", "fanout": " shared", "allowed_origins": "none"},
    {"sessions": "all", "bridges": "2", "session_expiry": "30d", "presence_grace": "10m"},
    {"sessions": "latest", "bridges": "1", "session_expiry": "0s", "presence_grace": "0s", "drain": "1h"},
    {"sessions": "latest", "session_expiry": "90s", "presence_grace": "250ms"},
], ids=["few", "many", "blanks around", "longest", "shortest", "latest"])
def test_options_that_are_fine(brokers, options):
    broker = brokers(bridge="bridge_program" not in options, options=options)
    alice, bob = broker.mqtt(A), broker.mqtt(B).read_room(options.get("room", "general").strip())
    alice.send({"message": "x"}, room=options.get("room", "general").strip())
    bob.expect_message("x", A)


def test_one_latest_session_needs_one_bridge(brokers):
    broker = brokers(start=False, options={"sessions": "latest", "bridges": "2"})
    log = broker.start_refused()
    assert re.search(r"plugin_opt_sessions latest .*plugin_opt_bridges", log), log


def test_per_listener_settings_are_refused(brokers):
    broker = brokers(start=False, bridge=False, lines=["per_listener_settings true"])
    broker.config = lambda make=broker.config: make().replace("allow_anonymous true\n", "")
    log = broker.start_refused()
    assert "per_listener_settings" in log


def test_an_open_address_is_warned_of(brokers):
    """No authentication and not only this machine: a warning at each start."""
    broker = brokers(options={"bind_address": "0.0.0.0"})
    broker.wait_log(r"(?i)0\.0\.0\.0.*authentication|authentication.*0\.0\.0\.0|bind_address")
    broker.ws(A)
    broker.wait_log(r"bind_address 0\.0\.0\.0 .* /mqtt .*plugin_opt_mqtt off")
    assert "/mqtt" not in brokers(options={"bind_address": "0.0.0.0", "mqtt": "off"}).log()
    quiet = brokers()
    assert not re.search(r"(?i)bind_address", quiet.log())


def test_ipv6(brokers):
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    broker = brokers(options={"bind_address": "::1"})
    with socket.create_connection(("::1", broker.ws_port), timeout=5) as sock:
        sock.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.")
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", broker.ws_port), timeout=5)


# the port

@pytest.mark.parametrize("bridges", ["1", "2"])
def test_a_taken_port_stops_the_broker(brokers, bridges):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        broker = brokers(start=False, options={"port": str(port), "bridges": bridges})
        log = broker.start_refused()
    line = next((line for line in log.splitlines() if str(port) in line and re.search("(?i)in use|taken", line)), None)
    assert line, log
    broker.orphans()
    assert not broker.orphans()


def test_two_brokers_cannot_share_a_port(brokers):
    first = brokers(options={"bridges": "2"})
    second = brokers(start=False, options={"bridges": "2", "port": str(first.ws_port)})
    second.start_refused()
    alice = first.ws(A)
    first.mqtt(B).send({"message": "hi"})
    alice.expect_message("hi", B)


def test_an_address_that_is_not_ours(brokers):
    broker = brokers(start=False, options={"bind_address": "192.0.2.1"})
    log = broker.start_refused()
    assert "192.0.2.1" in log


def test_the_port_is_bound_before_the_broker_serves(brokers):
    """Whoever sees the broker's own port open can open a session at once."""
    for _ in range(3):
        broker = brokers()
        broker.raw_ws(A)


@pytest.mark.parametrize("program", ["/nonexistent/bridge", "/etc/passwd", "/bin/true", "/bin/false", "/"])
def test_a_bridge_that_does_not_run(brokers, program):
    broker = brokers(start=False, options={"bridge_program": program})
    log = broker.start_refused()
    assert program in log or "bridge" in log, log
    assert not broker.orphans()


def test_bridge_off_is_no_port(brokers):
    broker = brokers(bridge=False)
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", broker.ws_port), timeout=5)
    assert broker.bridge_pids() == []


def test_what_was_chosen_is_logged(brokers):
    broker = brokers(bridge=False)
    broker.wait_log("chat: .*auth none.*other topics")


def test_started_in_the_background(brokers):
    """mosquitto -d forks before plugins are loaded: the bridge must be the child of what remains."""
    broker = brokers(start=False)
    pid_file = os.path.join(broker.folder, "pid")
    broker.lines.append("pid_file " + pid_file)
    broker.lines.append("log_dest file " + os.path.join(broker.folder, "log2"))
    with open(broker.conf_path, "w") as f:
        f.write(broker.config())
    broker.allow(".*")
    subprocess.run([MOSQUITTO, "-c", broker.conf_path, "-d"], env=broker.environment(), check=True, timeout=30,
                   stdout=broker.log_file, stderr=subprocess.STDOUT)

    def pid_of_broker():
        try:
            with open(pid_file) as f:
                return int(f.read())
        except (OSError, ValueError):
            return None
    pid = wait_for(pid_of_broker, "a pid file")
    bridges = []
    try:
        def listening():
            try:
                return broker.raw_ws(A, events="typing")
            except OSError:
                return None
        alice = wait_for(listening, "a session")
        alice.expect_ready()
        bridges = [p for p in processes() if (stat_fields(p) or [0, 0])[1] == str(pid)]
        assert len(bridges) == 1
    finally:
        os.kill(pid, 15)
        wait_for(lambda: not running(pid) and not any(running(p) for p in bridges), "the end of broker and bridge")
