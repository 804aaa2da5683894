"""GET /metrics, read as Prometheus reads it."""

from prometheus_client.parser import text_string_to_metric_families

PREFIX = "mosquitto_chat_"


class Scrape(dict):
    """{(name without prefix, label value or None): value}; families: as the parser has them, by name; text."""

    def __init__(self, text):
        super().__init__()
        self.text = text
        self.families = {}
        for family in text_string_to_metric_families(text):
            assert family.name not in self.families, family.name
            self.families[family.name] = family
            for sample in family.samples:
                assert sample.name.startswith(PREFIX), sample.name
                assert len(sample.labels) <= 1 or sample.name == PREFIX + "build_info", sample
                key = (sample.name[len(PREFIX):], next(iter(sample.labels.values()), None))
                assert key not in self, key
                self[key] = sample.value

    def sum(self, name):
        return sum(value for (other, _), value in self.items() if other == name)

    def growing(self):
        """What must never become less while the broker runs."""
        return {key: value for key, value in self.items()
                if self.kind(key[0]) in ("counter", "histogram")}

    def kind(self, name):
        for family in self.families.values():
            if any(sample.name == PREFIX + name for sample in family.samples):
                return family.type
        raise KeyError(name)


def scrape(chat, **more):
    answer = chat.http("GET", "/metrics", **more)
    assert answer.status == 200, answer
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Scrape(answer.body.decode())
