"""Certificates for tests, made by openssl. CHAT_TLS=1 in the environment lets every broker of a run speak TLS."""

import atexit
import os
import shutil
import ssl
import subprocess
import tempfile

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
