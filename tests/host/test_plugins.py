"""A plugin of somebody else's that has neither access rules nor logins, and client certificates instead of passwords."""

import os
import shutil
import ssl
import subprocess

import pytest

from harness.broker import BUILD, mosquitto_version
from stage import CONFIGS, Config, Stage, at_once, compare

STAMP = os.path.join(BUILD, "tests", "host", "stamp_plugin.so")


def talk(host):
    t = Stage(host.mqtt_port, "stamp", 5)
    try:
        for name in (None, "alice", "somebody@example.com"):
            a = t.client("as %s" % name, user=name, password="x" if name else None, client_id="stamp-%s" % name)
            if not a.refused:
                a.subscribe(("stamped/#", 2), ("other/#", 1))
                for qos in (0, 1, 2):
                    a.publish("stamped/x", "message", qos=qos).publish("other/x", "message", qos=qos)
                a.publish("stamped/kept", "kept", qos=1, retain=True).settle()
                a.unsubscribe("stamped/#").subscribe("stamped/#").settle()
    finally:
        t.close()
    return t.transcript()


@pytest.mark.parametrize("order", ["chat first", "chat last"])
@pytest.mark.parametrize("written_down", [True, False])
def test_beside_a_plugin_without_rules(hosts, order, written_down):
    """Two options may have to be written down to be as without the plugin; that it is different otherwise is documented: with
    mosquitto 2.0 always, with 2.1 where the other plugin comes first, since its rules, if it had any, would have to hold."""
    options = {"auth": "none", "other_topics": "allow"} if written_down else None
    pair = [hosts(CONFIGS["open"], loaded, start=False, options=options) for loaded in (False, True)]
    for host in pair:
        if order == "chat first":
            host.plugin_lines.append("plugin " + STAMP)
        else:
            host.earlier.append("plugin " + STAMP)
        host.start()
    ours = at_once(*[lambda host=host: talk(host) for host in pair])
    assert sum("(stamped)" in line for line in ours[0]) >= 12
    if not written_down and (mosquitto_version()[:2] == (2, 0) or order == "chat last"):
        assert not any("PUBLISH" in line for line in ours[1])
        assert any("code=0x87" in line for line in ours[1])
    else:
        compare(*ours)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A folder: ca, server, and clients "alice" and "somebody@example.com"."""
    folder = str(tmp_path_factory.mktemp("certificates"))
    os.chmod(folder, 0o755)

    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=folder)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=tests")
    for name, subject in (("server", "localhost"), ("alice", "alice"), ("somebody", "somebody@example.com")):
        openssl("req", *key, "-keyout", name + ".key", "-out", name + ".csr", "-subj", "/CN=" + subject)
        openssl("x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-out", name + ".pem")
        os.chmod(os.path.join(folder, name + ".key"), 0o644)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def talk_with_certificates(host, folder):
    t = Stage(host.mqtt_port, "certificates", 5)

    def client(name, certificate, **more):
        context = ssl.create_default_context(cafile=os.path.join(folder, "ca.pem"))
        context.check_hostname = False
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # on by itself from Python 3.13; the server's certificate is not what matters here
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # where a missing certificate ends the handshake itself
        if certificate:
            context.load_cert_chain(os.path.join(folder, certificate + ".pem"), os.path.join(folder, certificate + ".key"))
        peer = t.peer(name)
        try:
            peer.socket = context.wrap_socket(peer.socket)
        except (ssl.SSLError, ConnectionError):
            t.note("%s: no handshake" % name)
            return None
        return peer.connect(**more)

    try:
        client("none", None)
        for who in ("alice", "somebody"):
            a = client(who, who).subscribe(("#", 0))
            client(who + " another name", who, user="bob@example.com", password="x").settle()
            for topic in ("open/x", "own/alice/x", "byname/alice/x", "byname/somebody@example.com/x", "elsewhere/x"):
                a.publish(topic, who, qos=1)
            a.settle()
    finally:
        t.close()
    return t.transcript()


@pytest.mark.parametrize("identity", ["use_identity_as_username", "use_subject_as_username"])
@pytest.mark.parametrize("rules", [True, False])
def test_client_certificates(hosts, certificates, identity, rules):
    """No login is asked for; the name is the certificate's, an address among them."""
    config = Config(["allow_anonymous false"] + (["acl_file {rules}"] if rules else []),
                    ["cafile %s/ca.pem" % certificates, "certfile %s/server.pem" % certificates, "keyfile %s/server.key" % certificates,
                     "require_certificate true", identity + " true"])
    pair = [hosts(config, loaded) for loaded in (False, True)]
    for host in pair:
        host.allow("OpenSSL Error")
    ours = at_once(*[lambda host=host: talk_with_certificates(host, certificates) for host in pair])
    assert any("no handshake" in line for line in ours[0])
    # The rules are for names, and a whole subject is none of theirs.
    assert any("PUBLISH" in line for line in ours[0]) == (not rules or identity == "use_identity_as_username")
    compare(*ours)
