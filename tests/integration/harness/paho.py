"""python3-paho-mqtt as a dialogue client: what users really run. Works with paho 1.6 and 2.x."""

import json
import queue
import threading

import paho.mqtt.client as paho

from .dialogue import MARKER, TIMEOUT, Closed, Dialogue, Frame
from .wire import topic_level


def paho_client(client_id, protocol, **more):
    if hasattr(paho, "CallbackAPIVersion"):
        return paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=protocol, **more)
    return paho.Client(client_id=client_id, protocol=protocol, **more)


def _code(value):
    return getattr(value, "value", value)


class Paho(Dialogue):
    counter = 0

    def __init__(self, broker, user=None, version=5, password=None, tunnel=False):
        Paho.counter += 1
        self.broker = broker
        self.user = user
        self.client_id = "p%d" % Paho.counter
        self.name = "%s(paho%d%s)" % (user or "nobody", version, " over websockets" if tunnel else "")
        self.events = queue.Queue()
        self.answers = {}
        self.arrived = threading.Condition()
        self.connected = None
        self.barriers = 0
        self.client = paho_client(self.client_id, paho.MQTTv5 if version == 5 else paho.MQTTv311,
                                  transport="websockets" if tunnel else "tcp")
        if tunnel:
            self.client.ws_set_options(path="/mqtt")
        if user is not None:
            self.client.username_pw_set(user, password)
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = lambda *_: self.events.put(Closed(None, ""))
        self.client.on_message = self._on_message
        self.client.on_subscribe = lambda c, u, mid, codes, *_: self._answer(mid, [_code(x) for x in codes])
        self.client.on_publish = lambda c, u, mid, *_: self._answer(mid, True)
        broker.clients.append(self)
        self.client.connect("127.0.0.1", broker.ws_port if tunnel else broker.mqtt_port)
        self.client.loop_start()
        with self.arrived:
            assert self.arrived.wait_for(lambda: self.connected is not None, TIMEOUT), "no CONNACK"
        assert self.connected == 0, "refused: %r" % (self.connected,)

    def _on_connect(self, client, userdata, flags, reason, *_):
        with self.arrived:
            self.connected = _code(reason)
            self.arrived.notify_all()

    def _on_message(self, client, userdata, message):
        properties = None
        given = getattr(message, "properties", None)
        if given is not None:
            properties = {
                "content-type": getattr(given, "ContentType", None),
                "payload-format-indicator": getattr(given, "PayloadFormatIndicator", None),
                "user": getattr(given, "UserProperty", []),
            }
        self.events.put(Frame(message.payload, message.topic, message.qos, message.retain, properties))

    def _answer(self, mid, what):
        with self.arrived:
            self.answers[mid] = what
            self.arrived.notify_all()

    def _answered(self, mid):
        with self.arrived:
            assert self.arrived.wait_for(lambda: mid in self.answers, TIMEOUT), "%s: no answer" % self.name
            return self.answers.pop(mid)

    def subscribe(self, topic, qos=1):
        _, mid = self.client.subscribe(topic, qos)
        code = self._answered(mid)[0]
        self.say(">", "subscribe %s: %s" % (topic, code))
        return code

    def _granted(self, topic):
        code = self.subscribe(topic)
        assert code < 0x80, "%s: subscribe %s answered %r" % (self.name, topic, code)
        return self

    def topic(self, end):
        return "%s/users/%s/%s" % (self.broker.root, topic_level(self.user), end)

    def read_room(self, room=None):
        return self._granted("%s/rooms/%s" % (self.broker.root, room or self.broker.room))

    def read_inbox(self):
        return self._granted(self.topic("inbox"))

    def read_notices(self):
        return self._granted(self.topic("notices/" + topic_level(self.client_id)))

    def publish(self, topic, payload, qos=1, retain=False):
        payload = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.say(">", "%s %r" % (topic, payload[:300]))
        info = self.client.publish(topic, payload, qos, retain)
        self._answered(info.mid)

    def send(self, message, room=None, to=None, **how):
        if to is not None:
            topic = "%s/users/%s/send" % (self.broker.root, topic_level(to))
        else:
            topic = "%s/rooms/%s/send" % (self.broker.root, room or self.broker.room)
        self.publish(topic, message, **how)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()

    def _take(self, timeout):
        try:
            return self.events.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError from None

    def _barrier(self):
        # Its own message round through the broker, twice (see Mqtt._barrier).
        topic = "barrier/" + self.client_id
        if not self.barriers:
            self._granted(topic)
        events = []
        for _ in range(2):
            self.barriers += 1
            text = b"%d" % self.barriers
            self.publish(topic, text)
            while True:
                event = self._take(TIMEOUT)
                if isinstance(event, Frame) and event.topic == topic:
                    assert event.raw == text
                    break
                if isinstance(event, Closed) or event.get("sender") != MARKER:
                    events.append(event)
        return events
