"""Certificates for tests, made by openssl. CHAT_TLS=1 in the environment lets every broker of a run speak TLS."""

import atexit
import os
import select
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time

EVERYWHERE = bool(os.environ.get("CHAT_TLS"))


class Certificate:
    """A self-signed one for localhost and 127.0.0.1, in a folder of its own. kind: ec or rsa."""

    default = None

    def __init__(self, kind="ec"):
        self.folder = tempfile.mkdtemp(prefix="chat-tls-")
        atexit.register(shutil.rmtree, self.folder, True)
        os.chmod(self.folder, 0o755)
        self.cert, self.key = os.path.join(self.folder, "cert.pem"), os.path.join(self.folder, "key.pem")
        self.renew(kind)

    @classmethod
    def shared(cls):
        cls.default = cls.default or cls()
        return cls.default

    def renew(self, kind="ec"):
        """New key and certificate in the same files."""
        new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec" else ["-newkey", "rsa:2048"]
        subprocess.run(["openssl", "req", "-x509", *new, "-nodes", "-keyout", self.key, "-out", self.cert, "-days", "30",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                       check=True, capture_output=True)
        os.chmod(self.key, 0o644)  # the broker may run as another user
        return self

    @property
    def options(self):
        return {"tls_cert_file": self.cert, "tls_key_file": self.key}

    def context(self):
        """A client's, that trusts this certificate and no other."""
        return ssl.create_default_context(cafile=self.cert)

    def wrap(self, sock):
        return Turns(self.context().wrap_socket(sock, server_hostname="localhost"))


class Turns:
    """A TLS socket that one thread reads while another writes. Python's own, used like that, takes what OpenSSL says
    to one of the two for the other's outcome, and now and then reports an end that is none."""

    def __init__(self, sock):
        self._sock, self._seconds, self._turn = sock, sock.gettimeout(), threading.Lock()
        sock.setblocking(False)

    def __getattr__(self, name):
        return getattr(self._sock, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._sock.close()

    def settimeout(self, seconds):
        self._seconds = seconds

    def gettimeout(self):
        return self._seconds

    def _until_done(self, call):
        seconds = self._seconds
        end = None if seconds is None else time.monotonic() + seconds
        while True:
            with self._turn:
                try:
                    return call()
                except ssl.SSLWantReadError:
                    wanted = [self._sock], []
                except ssl.SSLWantWriteError:
                    wanted = [], [self._sock]
            left = None if end is None else max(0.0, end - time.monotonic())
            if not any(select.select(*wanted, [], left)) and left == 0.0:
                raise socket.timeout("timed out")

    def recv(self, n):
        return self._until_done(lambda: self._sock.recv(n))

    def send(self, data):
        return self._until_done(lambda: self._sock.send(data))

    def sendall(self, data):
        view = memoryview(data)
        while view:
            view = view[self.send(view):]
