"""The page at / as people use it, served by the real server: its texts, its looks, what it does with hostile input."""

import base64
import os
import re
import time

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from harness.dialogue import wait_for
from harness.history import rows, with_history
from site_server import NODE_MODULES, WEB

A, B, C = "alice@example.com", "bob@example.com", "carol@example.com"
DESKTOP, PHONE = (1280, 800), (390, 844)
BUDGET = 60 * 1024
SCREENSHOTS = os.environ.get("CHAT_SCREENSHOTS")


@pytest.fixture
def chat(brokers):
    return with_history(brokers, web_root=WEB)


class Visitor:
    """Somebody with a browser (a profile) of their own, or a further tab of it."""

    def __init__(self, browser, base, user=A):
        self.browser, self.base, self.user = browser, base, user

    def sign_in(self, place=""):
        self.browser.open(self.base + place)
        self.browser.wait("return document.getElementById('address')?.offsetParent")
        self.fill("#address", self.user)
        self.element("#signin-form button").click()
        return self.ready()

    def ready(self):
        self.browser.wait("return document.getElementById('connection').dataset.state === 'open'")
        return self

    def element(self, selector):
        return self.browser.driver.find_element(By.CSS_SELECTOR, selector)

    def fill(self, selector, text):
        field = self.element(selector)
        field.clear()
        field.send_keys(text)
        return field

    def say(self, text):
        self.fill("#message", text).send_keys(Keys.ENTER)

    def submit(self, form, text):
        self.fill("#%s input" % form, text).send_keys(Keys.ENTER)

    def place(self, key):
        return '[data-place="%s"]' % key

    def go(self, key):
        self.browser.wait("return document.querySelector(arguments[0])", self.place(key))
        self.element(self.place(key)).click()
        self.browser.wait("return document.querySelector(arguments[0]).ariaCurrent === 'true'", self.place(key))

    def unread(self, key):
        return self.browser.js("return document.querySelector(arguments[0])?.dataset.unread ?? null", self.place(key))

    def bodies(self):
        return self.browser.js("return [...document.querySelectorAll('#timeline .message .body')].map((n) => n.textContent)")

    def sees(self, *texts, timeout=20):
        """These are the last messages shown."""
        __tracebackhide__ = True
        self.browser.wait("""
            const shown = [...document.querySelectorAll('#timeline .message .body')].map((n) => n.textContent);
            return JSON.stringify(shown.slice(-arguments[0].length)) === JSON.stringify(arguments[0])""", list(texts), timeout=timeout,
                          what="%s sees %r, expected %r" % (self.user, self.bodies()[-6:], texts))

    def sent(self, text):
        self.browser.wait("""
            return [...document.querySelectorAll('#timeline .message')].some((n) =>
                n.dataset.status === 'sent' && n.dataset.messageId && n.querySelector('.body').textContent === arguments[0])""", text)


@pytest.fixture
def visitors(browsers, chat):
    """visitors(user, **Browser arguments): each with a profile of their own. None may have seen an error in the console."""
    made = []

    def make(user=A, base=None, place="", **arguments):
        browser = browsers(**arguments)
        one = Visitor(browser, base or "http://127.0.0.1:%d/" % chat.ws_port, user)
        made.append(one)
        return one.sign_in(place)

    yield make
    for one in made:
        said = [line for line in one.browser.console() if not re.search(r"WebSocket connection|ERR_INTERNET_DISCONNECTED", line)]
        bad = [line for line in said if re.search(r"Content Security Policy|TrustedScript|Refused|Uncaught|^SEVERE", line)]
        assert not bad, bad


# people

def test_two_people_and_a_terminal(visitors, chat):
    alice, bob = visitors(A), visitors(B)
    terminal = chat.mqtt(C).read_room()
    alice.say("Hello, Bob")
    alice.sent("Hello, Bob")
    bob.sees("Hello, Bob")
    bob.say("Hello, Alice")
    alice.sees("Hello, Bob", "Hello, Alice")
    terminal.expect_message("Hello, Bob", A)
    terminal.expect_message("Hello, Alice", B)
    terminal.send({"message": "21.5 °C"})
    alice.sees("Hello, Bob", "Hello, Alice", "21.5 °C")
    bob.sees("Hello, Bob", "Hello, Alice", "21.5 °C")
    assert alice.browser.js("return document.getElementById('announcer').textContent").endswith("carol@example.com: 21.5 °C")
    assert alice.browser.js("const a = document.getElementById('announcer'); return [a.ariaLive, document.getElementById('timeline').role]") == \
        ["polite", "log"]
    alice.browser.wait("return document.querySelectorAll('#people [data-user]').length === 3")


def test_direct_messages_and_unread_marks(visitors, chat):
    alice, bob = visitors(A), visitors(B)
    alice.submit("start-direct", B)
    alice.browser.wait("return location.hash === '#@bob@example.com'")
    alice.say("psst")
    alice.sent("psst")
    bob.browser.wait("return document.querySelector(arguments[0])?.dataset.unread === '1'", bob.place("user:" + A))
    bob.browser.wait("return document.title.startsWith('(1)')")
    assert bob.bodies() == []
    chat.mqtt(C).send({"message": "and in the garden"}, room="garden")
    bob.submit("join-room", "garden")
    bob.browser.wait("return location.hash === '#garden'")
    bob.sees("and in the garden")
    bob.go("user:" + A)
    bob.sees("psst")
    bob.browser.wait("return document.querySelector(arguments[0]).dataset.unread === '0'", bob.place("user:" + A))
    bob.browser.wait("return !document.title.startsWith('(')")
    chat.mqtt(C).send({"message": "again"}, room="garden")
    bob.browser.wait("return document.querySelector(arguments[0])?.dataset.unread !== '0'", bob.place("room:garden"))
    bob.say("yes?")
    alice.sees("psst", "yes?")


def test_history_on_the_way_up(visitors, chat):
    author = chat.mqtt(C)
    wanted = ["message %d" % n for n in range(180)]
    for text in wanted:
        author.send({"message": text})
    wait_for(lambda: len(rows(chat)) == len(wanted), "all are stored")
    alice = visitors(A)
    alice.sees("message 179")
    seen = set()

    def up():
        seen.update(alice.bodies())
        alice.browser.js("const t = document.getElementById('timeline'); t.scrollTop = 0; t.dispatchEvent(new Event('scroll'))")
        return len(seen) == len(wanted) and alice.browser.js("return !!document.querySelector('#timeline .begin')")
    wait_for(up, lambda: "all of %d, %d seen" % (len(wanted), len(seen)), 30)
    assert seen == set(wanted)
    shown = alice.bodies()
    assert shown == wanted[:len(shown)] and shown
    ids = alice.browser.js("return [...document.querySelectorAll('#timeline [data-message-id]')].map((n) => n.dataset.messageId)")
    assert ids == sorted(set(ids))


def test_offline_and_back(visitors, chat, proxies):
    proxy = proxies(chat.ws_port)
    terminal = chat.mqtt(C).read_room()
    alice = visitors(A, base="http://127.0.0.1:%d/" % proxy.port)
    alice.say("before")
    terminal.expect_message("before", A)
    alice.sent("before")
    alice.browser.offline()
    proxy.cut_after = 0
    proxy.cut()
    alice.browser.wait("return document.getElementById('connection').dataset.state === 'waiting'")
    alice.say("written offline")
    alice.browser.wait("return document.querySelector('#timeline .message[data-status=sending]')")
    terminal.send({"message": "said meanwhile"})
    terminal.expect_message("said meanwhile", C)
    terminal.expect_nothing()
    proxy.cut_after = None
    alice.browser.offline(False)
    terminal.expect_message("written offline", A)
    alice.sent("written offline")
    alice.sees("before", "said meanwhile", "written offline")
    alice.ready()
    terminal.expect_nothing()
    assert [body for body in alice.bodies() if body == "written offline"] == ["written offline"]


def test_several_tabs(visitors, chat):
    first = visitors(A)
    driver = first.browser.driver
    one = driver.current_window_handle
    driver.switch_to.new_window("tab")
    two = driver.current_window_handle
    second = Visitor(first.browser, first.base, A)
    first.browser.open(first.base)
    first.browser.wait("return document.getElementById('connection').dataset.state === 'open'", what="the second tab signs in by itself")
    second.submit("join-room", "garden")
    driver.switch_to.window(one)
    first.say("from the first tab")
    first.sent("from the first tab")
    driver.switch_to.window(two)
    second.browser.wait("return document.querySelector(arguments[0])", second.place("room:general"))
    second.go("room:general")
    second.sees("from the first tab")
    assert second.browser.js("return document.querySelector('#timeline .message').classList.contains('own')")
    chat.mqtt(B).send({"message": "direct"}, to=A)
    for tab in (one, two):
        driver.switch_to.window(tab)
        first.browser.wait("return document.querySelector(arguments[0])?.dataset.unread === '1'", first.place("user:" + B))
    first.go("user:" + B)
    first.sees("direct")
    driver.switch_to.window(one)
    first.browser.wait("return document.querySelector(arguments[0]).dataset.unread === '0'", first.place("user:" + B),
                       what="read in one tab is read in the other")


# input that means harm

HOSTILE = [
    "<img src=x onerror=\"alert('img')\">",
    "<script>alert('script')</script>",
    "<svg/onload=alert(1)><a href=javascript:alert(2)>x</a>",
    "javascript:alert(3) and http://example.com/<b>x</b>",
    "\"><iframe srcdoc=\"<script>parent.alert(4)</script>\">",
    "x" * 4000,
    "‮reversed‬ ‭and⁧ isolates",
    "Z̴̨̛͔̪͚̦͕̞̱̤̹̱͂̀̾̏̊͗͐̕͝ä̷̢̼̱̹̥̰̞͍́͊l̵̛̰̻̹͇͐̃̓̂̑̏͜g̶̨̢̣̟̮̗͓̈́̋̔̈́́͘o̸̹͖̜̖͆̒̈͘ " * 20,
    "مرحبا كيف حالك؟ https://example.com/a?b=c#d <b>",
    "{{7*7}} ${7*7} <%= 7 %> &lt;b&gt; &amp;amp;",
    "a\nb\n\n\n" + "\n".join(str(n) for n in range(40)),
    "\u200b\u200e\u2066\ufeffinvisible\u0007\u001b[31m",
    "https://" + "a" * 300 + ".example/" + "b" * 2000,
    "data:text/html,<script>alert(5)</script> vbscript:x HTTPS://EXAMPLE.com/\u202egnp.exe",
]


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_hostile_messages_are_text(visitors, chat, size):
    alice = visitors(A, size=size)
    before = alice.browser.js("return document.querySelectorAll('img, script, svg, iframe, b, object, embed').length")
    author = chat.mqtt("<script>alert(9)</script>@example.com".replace("<script>alert(9)</script>", "o'{x}*`|"))
    for text in HOSTILE:
        author.send({"message": text})
        alice.browser.wait("return [...document.querySelectorAll('#timeline .body')].some((n) => n.textContent === arguments[0])", text,
                           what="shown as it is: %r" % text[:60])
        overflow = alice.browser.js("return [document.documentElement.scrollWidth, innerWidth, document.getElementById('timeline').scrollWidth - "
                                    "document.getElementById('timeline').clientWidth]")
        assert overflow[0] <= overflow[1] and overflow[2] <= 0, (text[:40], overflow)
    assert alice.browser.js("return [...document.querySelectorAll('#timeline :is(script, iframe, object, embed, form, link, style)')].length") == 0
    assert alice.browser.js("return document.querySelectorAll('img, script, svg, iframe, b, object, embed').length") == before
    links = alice.browser.js("return [...document.querySelectorAll('#timeline a')].map((a) => [a.protocol, a.target, a.rel, a.textContent, a.href])")
    assert links and all(link[0] in ("http:", "https:") and link[1] == "_blank" for link in links)
    assert all({"noopener", "noreferrer"} <= set(link[2].split()) for link in links)
    # an override inside a message does not reach the name or the time beside it
    styles = alice.browser.js("return [...new Set([...document.querySelectorAll('#timeline .body, #timeline .name')].map((n) => getComputedStyle(n).unicodeBidi))]")
    assert set(styles) <= {"isolate", "plaintext", "isolate-override", "bidi-override isolate"}, styles
    with pytest.raises(Exception):
        alice.browser.driver.switch_to.alert  # noqa: B018 (none is open)
    assert len(alice.browser.js("return document.title")) < 100


def test_hostile_addresses(visitors, chat):
    """A place in the URL and names of people are data, too."""
    alice = visitors(A, place="#<img src=x onerror=alert(1)>")
    assert alice.browser.js("return document.querySelectorAll('main img[src=x]').length") == 0
    odd = "o'x+y%&?#={}|@example.com"
    bob = chat.plain_ws(odd).sync()  # is not told of typing
    bob.send({"message": "psst", "to": A})
    alice.browser.wait("return document.querySelector(arguments[0])", '[data-place="user:%s"]' % odd)
    alice.browser.js("document.querySelector(arguments[0]).click()", '[data-place="user:%s"]' % odd)
    alice.sees("psst")
    alice.say("yes?")
    bob.expect(message="yes?", sender=A, to=odd)
    alice.browser.driver.refresh()
    alice.ready()
    alice.sees("psst", "yes?")


# keyboard, looks

def test_by_keyboard_alone(browsers, chat):
    browser = browsers()
    alice = Visitor(browser, "http://127.0.0.1:%d/" % chat.ws_port)
    browser.open(alice.base)
    browser.wait("return document.activeElement?.id === 'address'", what="the first field has the focus")

    def keys(*keys):
        ActionChains(browser.driver).send_keys(*keys).perform()

    def chord(modifier, key):
        ActionChains(browser.driver).key_down(modifier).send_keys(key).key_up(modifier).perform()

    keys("nonsense", Keys.ENTER)
    browser.wait("return document.getElementById('signin-error').textContent && document.activeElement.id === 'address'")
    keys(*[Keys.BACKSPACE] * 8, A, Keys.ENTER)
    alice.ready()
    browser.wait("return document.activeElement.id === 'message'")
    keys("one line")
    chord(Keys.SHIFT, Keys.ENTER)
    keys("another", Keys.ENTER)
    alice.sent("one line\nanother")
    for _ in range(30):  # to the form for rooms
        keys(Keys.TAB)
        if browser.js("return document.activeElement.closest('#join-room input') !== null"):
            break
    keys("garden", Keys.ENTER)
    browser.wait("return location.hash === '#garden' && document.activeElement.id === 'message'")
    keys("in the garden", Keys.ENTER)
    alice.sent("in the garden")
    chord(Keys.ALT, Keys.ARROW_UP)
    browser.wait("return location.hash === '#general'")
    chord(Keys.CONTROL, "/")
    browser.wait("return document.getElementById('help').open")
    keys(Keys.ESCAPE)
    browser.wait("return !document.getElementById('help').open")
    # whatever has the focus shows it
    browser.js("document.body.focus()")
    for _ in range(25):
        keys(Keys.TAB)
        shown = browser.js("""
            const n = document.activeElement, s = getComputedStyle(n), box = n.getBoundingClientRect();
            return n === document.body || (box.width > 0 && (s.outlineStyle !== 'none' || s.boxShadow !== 'none' || s.borderStyle !== 'none')) || n.outerHTML""")
        assert shown is True, shown


def converse(chat, alice):
    """Something to look at."""
    people = {user: chat.mqtt(user) for user in (B, C, "sensor@home.example")}
    people[B].send({"message": "Good morning! Is the window open?"})
    people["sensor@home.example"].send({"message": "21.5 °C"})
    people[C].send({"message": "صباح الخير 👋 https://example.org/a/very/long/path?with=a&query=string#and-a-fragment"})
    people[C].send({"message": "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft " * 3})
    people[C].send({"message": "psst"}, to=A)
    alice.say("Yes, since seven.")
    alice.sent("Yes, since seven.")
    alice.browser.wait("return document.querySelectorAll('#timeline .message').length >= 5")
    alice.browser.wait("return document.querySelector('[data-place=\"user:carol@example.com\"]')")
    return people  # their connections


def colours(browser, png):
    """How many different colours a picture has."""
    browser.open("about:blank")
    return browser.run("""
        const image = new Image();
        image.src = "data:image/png;base64," + arguments[0];
        await image.decode();
        const canvas = new OffscreenCanvas(image.width, image.height), context = canvas.getContext("2d");
        context.drawImage(image, 0, 0);
        const pixels = new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer);
        return new Set(pixels).size""", base64.b64encode(png).decode())


def picture(name, browser, folder):
    png = browser.driver.get_screenshot_as_png()
    with open(os.path.join(folder, name + ".png"), "wb") as f:
        f.write(png)
    wide = browser.js("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1], "%s scrolls sideways: %r" % (name, wide)
    return png


def audit(browser, what):
    """axe-core: nothing serious or critical."""
    with open(os.path.join(NODE_MODULES, "axe-core", "axe.min.js")) as f:
        browser.js(f.read() + "; window.axe = axe")
    found = browser.run("""
        const { violations } = await axe.run(document, { resultTypes: ["violations"] });
        return violations.map(({ id, impact, nodes }) => [impact, id, nodes.slice(0, 3).map((n) => n.html.slice(0, 120) + " " + n.failureSummary)])""")
    bad = [one for one in found if one[0] in ("serious", "critical")]
    assert not bad, "%s: %r" % (what, bad)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_looks_and_accessibility(browsers, chat, tmp_path, size, dark):
    folder = SCREENSHOTS or str(tmp_path)
    os.makedirs(folder, exist_ok=True)
    name = "%s-%s-" % ("phone" if size == PHONE else "desktop", "dark" if dark else "light")
    browser = browsers(size=size, dark=dark)
    alice = Visitor(browser, "http://127.0.0.1:%d/" % chat.ws_port)
    axe = os.path.exists(os.path.join(NODE_MODULES, "axe-core", "axe.min.js"))
    pictures = []

    def look(what):
        pictures.append(picture(name + what, browser, folder))
        if axe:
            audit(browser, name + what)

    browser.open(alice.base)
    browser.wait("return document.getElementById('address')?.offsetParent")
    look("signin")
    alice.sign_in()
    look("empty")
    people = converse(chat, alice)
    look("conversation")
    browser.js("document.getElementById('help-open').click()")
    browser.wait("return document.getElementById('help').open")
    look("help")
    browser.js("document.getElementById('help').close()")
    if size == PHONE:
        for drawer in ("places", "people"):
            browser.js("document.getElementById(arguments[0]).click()", drawer + "-open")
            browser.wait("return document.querySelector(':popover-open')")
            look(drawer)
            browser.js("document.querySelector(':popover-open').hidePopover()")
    chat.allow(".*")
    chat.kill()
    browser.wait("return document.getElementById('connection').dataset.state === 'waiting'")
    alice.say("Nobody hears this")
    browser.wait("return document.querySelector('[data-status=sending]')")
    look("offline")
    assert len(people) == 3
    assert all(colours(browser, png) > 30 for png in pictures)
    assert axe, "CHAT_NODE_MODULES has no axe-core (scripts/test browser brings it)"


@pytest.mark.parametrize("width", [320, 640, 768, 1024, 1920])
def test_no_width_scrolls_sideways(browsers, chat, width):
    browser = browsers(size=(width, 700))
    alice = Visitor(browser, "http://127.0.0.1:%d/" % chat.ws_port).sign_in()
    converse(chat, alice)
    assert browser.js("return document.documentElement.scrollWidth <= innerWidth")
    assert browser.js("const m = document.getElementById('message').getBoundingClientRect(); return m.width > 150 && m.bottom <= innerHeight")


def test_ten_thousand_messages(visitors, chat):
    author = chat.mqtt(C)
    alice = visitors(A)
    for n in range(10_000):
        author.send({"message": "m%d" % n}, qos=0)
    author.ping()
    alice.sees("m9998", "m9999", timeout=60)
    assert alice.browser.js("return document.querySelectorAll('#timeline .message').length") <= 500
    began = time.monotonic()
    alice.say("still quick")
    alice.sent("still quick")
    assert time.monotonic() - began < 3


def test_the_size_budget():
    files = [os.path.join(folder, name) for folder, _, names in os.walk(WEB) for name in names]
    sizes = {os.path.relpath(path, WEB): os.path.getsize(path) for path in files}
    assert sum(sizes.values()) < BUDGET, (sum(sizes.values()), sorted(sizes.items(), key=lambda one: -one[1]))
    assert sizes["chat-client.js"] <= 20 * 1024


def test_the_module_from_the_server_itself(visitors, chat):
    """import(".../chat-client.js") and nothing else: the address is where the module came from."""
    alice = visitors(A)
    text = alice.browser.run("""
        const { ChatClient } = await import("/chat-client.js");
        const bob = new ChatClient({ user: "bob@example.com" });
        try {
            await bob.send({ message: "five lines" });
            return bob.rooms.join() + " " + bob.state;
        } finally { bob.close(); }""")
    assert text == "general open"
    alice.sees("five lines")
