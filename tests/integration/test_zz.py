import threading
from test_since import *
def test_many(brokers):
    chat = with_history(brokers)
    first = say(chat, ["start"])[0]
    pour = Pour(chat, rate=200)
    pour.at_least(50)
    outcome = []
    def come(n):
        try:
            session = chat.raw_ws("u%d@example.com" % n, since=first["id"])
            replay = Replay(session)
            got = replay.all()
            n0=len(got)
            while len(got) < 200:
                got.append(session.next())
            outcome.append((numbers(got)[:200] == list(range(200)), replay.complete(), n0, numbers(got)[:200]))
        except BaseException as e:
            outcome.append(repr(e)[:300])
    threads = [threading.Thread(target=come, args=(n,)) for n in range(30)]
    for thread in threads: thread.start()
    for thread in threads: thread.join(30)
    pour.stop()
    bad=[o for o in outcome if o[0] is not True or not o[1]]
    for b in bad[:3]: print(b)
    assert not bad
