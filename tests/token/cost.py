"""What it costs to verify a token, by algorithm: processor time of one call of token_verify, the best of five rounds.

usage: cost.py BUILD-FOLDER
"""

import json
import subprocess
import sys
import time

from keys import Ec, Rsa, Secret, base64url, key_set, sign

KEYS = [("secret of 64 bytes", Secret(64), 20000), ("RSA 2048", Rsa(2048), 5000), ("RSA 3072", Rsa(3072), 3000), ("RSA 4096", Rsa(4096), 2000),
        ("EC P-256", Ec("P-256"), 2000), ("EC P-384", Ec("P-384"), 500), ("EC P-521", Ec("P-521"), 500)]


def main():
    now = int(time.time())
    print("%-20s %-6s %6s %10s" % ("key", "alg", "bytes", "us"))
    for name, key, times in KEYS:
        text = key_set([key])
        for alg in key.algs:
            data = b".".join(base64url(json.dumps(part).encode()) for part in (
                {"alg": alg, "typ": "JWT"},
                {"iss": "https://id.example/realms/staff", "sub": "6f1b3c7e-3c6e-4d5f-9a56-0c4f5a3e7d10", "iat": now, "exp": now + 300,
                 "email": "alice@example.com", "email_verified": True, "name": "Alice"}))
            token = data + b"." + base64url(sign(key, alg, data))
            feed = b"jwks %d\n%s" % (len(text), text) + b"cost %d %d %d\n%s" % (len(token), now, times, token) * 5
            answers = subprocess.run([sys.argv[1] + "/tests/token/token-driver"], input=feed, stdout=subprocess.PIPE, check=True).stdout.split()
            print("%-20s %-6s %6d %10.1f" % (name, alg, len(token), min(map(int, answers[3:])) / 1000))


if __name__ == "__main__":
    main()
