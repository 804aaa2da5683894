"""docker-compose.yml: that it is what Compose reads, and that the service runs as it says."""

import os
import re

import yaml

from test_image import REPO, read

TEXT = read("docker-compose.yml")
# What Compose knows, as far as it is used here: a misspelt name is refused by nobody else.
SERVICE = {"build": str, "image": str, "ports": list, "volumes": list, "command": list, "restart": str, "read_only": bool,
           "tmpfs": list, "cap_drop": list, "security_opt": list}


def checked(text):
    """The one service of that text."""
    compose = yaml.safe_load(text)
    assert set(compose) == {"services", "volumes"}
    assert list(compose["services"]) == ["chat"]
    service = compose["services"]["chat"]
    for key, value in service.items():
        assert isinstance(value, SERVICE[key]), key
        assert key in ("build", "image", "restart", "read_only") or all(isinstance(word, str) for word in value), key
    named = {entry.split(":")[0] for entry in service["volumes"] if not entry.startswith((".", "/"))}
    assert named == set(compose["volumes"])
    return service


def test_what_it_says(image):
    service = checked(TEXT)
    assert os.path.exists(os.path.join(REPO, service["build"], "Dockerfile"))
    ports = [entry.split(":") for entry in service["ports"]]
    assert {"%s/tcp" % inside for _, _, inside in ports} == set(image.config["ExposedPorts"])
    assert {(address, outside) for address, outside, _ in ports} == {("127.0.0.1", "8000"), ("127.0.0.1", "1883")}
    assert service["restart"] == "unless-stopped"


def test_its_examples(image):
    """With the comment signs before them taken away they still are what Compose reads."""
    text, changes = re.subn(r"^( +)# (- |\w+: )", r"\1\2", TEXT, flags=re.M)
    assert changes == 2
    service = checked(text)
    assert service["volumes"][1].split(":") == ["./mosquitto.conf", "/mosquitto/config/mosquitto.conf", "ro"]
    program, option, _ = service["command"]
    assert (program, option) == ("mosquitto", "-c")


def test_runs_as_it_says(containers, tmp_path):
    service = checked(TEXT)
    assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])  # as engine.py runs it
    arguments = {
        "read_only": service["read_only"],
        "tmpfs": dict(entry.split(":", 1) for entry in service["tmpfs"]),
        "volumes": {target: str(tmp_path / name) for name, target in (entry.split(":") for entry in service["volumes"])},
    }
    first = containers(**arguments)
    said = first.talk()
    assert first.stop()[0] == 0
    containers(**arguments).wait_page(said)
