"""Keys for the tests of tokens, made afresh, and signatures by them. Straight from python3-cryptography."""

import base64
import hashlib
import hmac
import json
import os

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

HASHES = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
CURVES = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}
RSA_ALGS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def number(n, size=None):
    return base64url(n.to_bytes(size or (n.bit_length() + 7) // 8, "big")).decode()


class Secret:
    def __init__(self, size, kid=None):
        self.private = self.public = os.urandom(size)
        self.kid = kid
        self.algs = ["HS256"] + ["HS384"] * (size >= 48) + ["HS512"] * (size >= 64)

    def jwk(self):
        return {"kty": "oct", "k": base64url(self.private).decode()}


class Rsa:
    def __init__(self, bits=2048, kid=None):
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        self.public = self.private.public_key()
        self.kid = kid
        self.algs = RSA_ALGS

    def jwk(self):
        numbers = self.public.public_numbers()
        return {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}


class Ec:
    def __init__(self, crv, kid=None):
        self.private = ec.generate_private_key(CURVES[crv]())
        self.public = self.private.public_key()
        self.crv, self.kid = crv, kid
        self.algs = [{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[crv]]

    def jwk(self):
        numbers = self.public.public_numbers()
        size = (self.private.key_size + 7) // 8
        return {"kty": "EC", "crv": self.crv, "x": number(numbers.x, size), "y": number(numbers.y, size)}


class Ed25519:
    """Of a kind that is not known: no algorithm of ours."""

    def __init__(self, kid=None):
        self.private = ed25519.Ed25519PrivateKey.generate()
        self.public = self.private.public_key()
        self.kid = kid
        self.algs = []

    def jwk(self):
        raw = self.public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return {"kty": "OKP", "crv": "Ed25519", "x": base64url(raw).decode()}


def key_set(keys):
    return json.dumps({"keys": [dict(key.jwk(), **({"kid": key.kid} if key.kid is not None else {})) for key in keys]}).encode()


def pem(key):
    return key.public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def sign(key, alg, data):
    """By the algorithm of that name, whether or not it is for a key of that length."""
    if isinstance(key, bytes):
        return hmac.new(key, data, getattr(hashlib, "sha" + alg[2:])).digest()
    if isinstance(key, Secret):
        return sign(key.private, alg, data)
    if isinstance(key, Ed25519):
        return key.private.sign(data)
    digest = HASHES[alg[2:]]()
    if isinstance(key, Ec):
        r, s = decode_dss_signature(key.private.sign(data, ec.ECDSA(digest)))
        size = (key.private.key_size + 7) // 8
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    if alg[0] == "P":
        return key.private.sign(data, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    return key.private.sign(data, padding.PKCS1v15(), digest)
