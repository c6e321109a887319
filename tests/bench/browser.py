"""Check the chat of ``langgraph-runs demo --web`` in a real browser.

    python -m tests.bench.browser                  # a table, about two minutes; exits with 1 if a check fails
    python -m tests.bench.browser --shots DIR      # also screenshots of each state, dark and light, wide and narrow

Needs Chromium with its driver (Debian: ``apt install chromium chromium-driver``), Python 3.11 or newer, and
``pip install ".[server,demo,bench]"``. Between the browser and the site is the proxy of tests/wire, which cuts connections.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from langgraph_runs.testing.cutting_proxy import CuttingProxy

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TIMEOUT = 30.0
SIZES = {"wide": (1280, 860), "narrow": (360, 720)}
SCHEMES = ("light", "dark")
#: Pairs of colours for text and background, by their names in the page's style, and the least contrast of WCAG 2.2 AA.
CONTRASTS = [
    *((text, behind, 4.5) for text, behind in itertools.product(("ink", "soft", "accent"), ("page", "card"))),
    *(("on-accent", "accent", 4.5), ("on-tint", "tint", 4.5), ("on-bad", "bad", 4.5), ("on-warn", "warn", 4.5)),
    *(("page", "ink", 4.5), ("bad", "on-bad", 4.5), ("soft", "line", 3.0), ("edge", "card", 3.0), ("edge", "page", 3.0)),
]
#: The accessible name of the element that has the focus, and whether the focus is visible.
FOCUS = """(() => {
  const one = document.activeElement;
  const name = one.getAttribute("aria-label") ?? one.labels?.[0]?.textContent ?? (one.querySelector("b") ?? one).textContent;
  const framed = one.id === "text" ? getComputedStyle(one.form).boxShadow.includes("0px 0px 0px 2px") : getComputedStyle(one).outlineStyle === "solid";
  return [name.trim(), framed && one !== document.body];
})()"""
#: The text of the assistant's last message, as it was written; what is shown of it has the spaces of its Markdown.
ANSWER = "[...document.querySelectorAll('.assistant .text')].at(-1)?.letters.data ?? ''"


class Chat:
    """The page in the browser, and the actions of a user."""

    def __init__(self, driver: Any, proxy: CuttingProxy) -> None:
        self.driver = driver
        self.proxy = proxy

    # -- looking

    def js(self, expression: str) -> Any:
        return self.driver.execute_script(f"return {expression}")

    def until(self, expression: str, what: str) -> Any:
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            if found := self.js(expression):
                return found
            time.sleep(0.02)
        raise AssertionError(f"waited {TIMEOUT:g} s for {what}; the state is {self.state!r}, the answer {self.answer[-80:]!r}")

    @property
    def state(self) -> str:
        return str(self.js("document.body.dataset.state"))

    def until_state(self, state: str) -> None:
        self.until(f"document.body.dataset.state === '{state}'", f"the state {state!r}")

    @property
    def answer(self) -> str:
        """The text of the assistant's last message."""
        return str(self.js(ANSWER))

    def until_answer(self, length: int) -> None:
        self.until(f"({ANSWER}).length >= {length}", f"an answer of {length} characters")

    def said(self) -> list[dict[str, Any]]:
        """The messages of the thread on the server."""
        path = self.js("location.pathname") + "state/"
        return list(self.driver.execute_async_script(f"fetch('{path}').then(r => r.json()).then(arguments[0])")["messages"])

    def focused(self) -> str:
        return str(self.js("document.activeElement.id || document.activeElement.textContent"))

    # -- doing

    def open(self) -> None:
        self.driver.get(self.proxy.url + "/")
        self.until_state("ready")

    def keys(self, *keys: str) -> None:
        """Send keys to the element that has the focus."""
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def back_tab(self) -> None:
        from selenium.webdriver.common.action_chains import ActionChains
        from selenium.webdriver.common.keys import Keys

        ActionChains(self.driver).key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT).perform()

    def say(self, text: str) -> None:
        assert "text" == self.focused(), f"the focus is not where one writes, but at {self.focused()!r}"
        self.keys(text, "\ue007")
        self.until("document.body.dataset.state === 'writing'", f"the run after {text!r}")

    def emulate(self, width: int, height: int, scheme: str, *, motion: str = "no-preference") -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": motion}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def offline(self, offline: bool) -> None:
        conditions = {"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.driver.execute_cdp_cmd("Network.enable", {})
        self.driver.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)


# -- checks


def alone(chat: Chat) -> str:
    """the page loads nothing from other hosts"""
    chat.open()
    assert "text" == chat.focused()
    loaded = chat.js("performance.getEntriesByType('resource').map(one => one.name)")
    assert [] == [one for one in loaded if not one.startswith((chat.proxy.url, "data:"))], loaded
    return f"{len(loaded)} other requests"


def keyboard(chat: Chat) -> str:
    """Tab reaches everything, with a name and a visible focus"""
    chat.keys("\ue004")
    names: list[str] = []
    while "New chat" not in names:
        name, seen = chat.js(FOCUS)
        assert name, "an element without a name has the focus"
        assert seen, f"the focus on {name!r} is not to be seen"
        assert len(names) < 20, names
        names.insert(0, name)
        chat.back_tab()
    ideas = chat.js("[...document.querySelectorAll('.ideas b')].map(one => one.textContent)")
    assert ["New chat", "Conversation", *ideas, "Message", "Send"] == names, names
    while chat.js(FOCUS)[0] != ideas[1]:
        chat.keys("\ue004")
    chat.keys("\ue007")
    chat.until_state("writing")
    assert "text" == chat.focused()
    chat.keys("\ue004", "\ue007")
    chat.until_state("ready")
    chat.until("!busy", "the answer to Stop")
    return " > ".join(names).replace(" > ".join(ideas), f"{len(ideas)} ideas")


def scrolled(chat: Chat) -> str:
    """the page does not scroll down while the reader has scrolled up"""
    chat.emulate(360, 400, "light")
    chat.say("Tell me a long story")
    chat.until_answer(500)
    assert chat.js("log.scrollTop + log.clientHeight > log.scrollHeight - 5"), "it did not scroll along"
    chat.driver.execute_script("log.scrollTop = 10")
    chat.until_answer(700)
    assert 10 == chat.js("log.scrollTop")
    chat.until("!document.getElementById('newest').hidden", "the button for the newest")
    chat.driver.execute_script("document.getElementById('newest').click()")
    chat.until_answer(800)
    assert chat.js("log.scrollTop + log.clientHeight > log.scrollHeight - 5"), "it does not scroll along again"
    assert chat.js("document.getElementById('newest').hidden")
    chat.driver.execute_script("document.getElementById('stop').click()")
    chat.until_state("ready")
    chat.until("!busy", "the answer to Stop")
    chat.emulate(*SIZES["wide"], "light")
    return "and brought back by a button"


def tokens(chat: Chat) -> str:
    """tokens appear one after another, and sentences are read aloud"""
    chat.say("Why are there two tides a day?")
    seen = [""]
    while chat.state == "writing":
        now = chat.answer
        if now != seen[-1]:
            assert now.startswith(seen[-1]), (seen[-1], now)
            seen.append(now)
    assert len(seen) > 10, seen
    assert chat.answer.startswith(seen[-1])
    seen.append(chat.answer)
    assert seen[-1] == chat.said()[-1]["text"], seen[-1]
    spoken = chat.js("[...spoken.children].map(one => one.textContent).join(' ')")
    assert spoken.endswith(" ".join(seen[-1].split())), spoken
    return f"the text grew {len(seen) - 1} times to {len(seen[-1])} characters"


def newline(chat: Chat) -> str:
    """Shift+Enter begins a line; text is never shown as markup"""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    ActionChains(chat.driver).send_keys("<img src=x onerror=alert(1)>").key_down(Keys.SHIFT).send_keys(Keys.ENTER).key_up(
        Keys.SHIFT
    ).send_keys("<b>tides</b>").perform()
    assert "ready" == chat.state
    chat.keys(Keys.ENTER)
    chat.until_state("writing")
    chat.until_state("ready")
    shown = chat.js("[...document.querySelectorAll('.user .text')].at(-1).textContent")
    assert "<img src=x onerror=alert(1)>\n<b>tides</b>" == shown, shown
    assert 0 == chat.js("document.querySelectorAll('#messages img, #messages b').length")
    assert "" == chat.js("document.getElementById('text').value")
    return "as written"


def stopped(chat: Chat) -> str:
    """Stop, by keyboard, ends the run; the text so far stays"""
    chat.say("Tell me a long story")
    chat.until_answer(150)
    chat.keys("\ue004")
    assert "stop" == chat.focused(), chat.focused()
    begun = time.monotonic()
    chat.keys("\ue007")
    chat.until_state("ready")
    took = time.monotonic() - begun
    chat.until("document.querySelector('.note')?.textContent === 'Stopped'", "the word Stopped")
    assert "text" == chat.focused(), chat.focused()
    written = chat.answer
    chat.until("!busy", "the answer to Stop")
    last = chat.said()[-1]
    assert last["stopped"]
    assert last["text"] == written, (last["text"], written)
    chat.driver.refresh()
    chat.until("document.querySelector('.note')?.textContent === 'Stopped'", "the word Stopped after a reload")
    assert written == chat.answer
    return f"{took:.2f} s after the key; {len(written)} characters stay, after a reload too"


def cut(chat: Chat) -> str:
    """three broken connections: nothing lost, nothing doubled"""
    chat.say("Tell me a long story")
    at = []
    for length in (100, 500, 900):
        chat.until_answer(length)
        chat.proxy.refuse()
        chat.proxy.break_all()
        chat.until_state("reconnecting")
        at.append(len(chat.answer))
        time.sleep(0.2)  # nothing comes: what is shown stays
        assert at[-1] == len(chat.answer)
        assert "Reconnecting…" == chat.js("document.getElementById('status').textContent")
        chat.proxy.listen()
        chat.until_answer(at[-1] + 1)
    chat.until_state("ready")
    return whole(chat, f"cut at {', '.join(map(str, at))}")


def offline(chat: Chat) -> str:
    """the browser is offline for a while: nothing lost or doubled"""
    chat.say("Tell me a long story")
    chat.until_answer(200)
    chat.offline(True)
    chat.until_state("reconnecting")
    at = len(chat.answer)
    chat.until("!navigator.onLine", "the browser to be offline")
    chat.offline(False)
    chat.until_state("writing")
    chat.until_state("ready")
    return whole(chat, f"offline at {at}")


def reload(chat: Chat) -> str:
    """a reload during a run shows the messages and continues"""
    chat.say("Tell me a long story")
    chat.until_answer(300)
    before = chat.answer
    chat.driver.refresh()
    chat.until(f"({ANSWER}).length >= {len(before)}", "the text again")
    assert chat.answer.startswith(before)
    assert "writing" == chat.state
    chat.until_state("ready")
    return whole(chat, f"reloaded at {len(before)}")


def whole(chat: Chat, result: str) -> str:
    shown, kept = chat.answer, chat.said()[-1]["text"]
    assert shown == kept, f"shown {shown!r}, kept {kept!r}"
    texts = chat.js("[...document.querySelectorAll('.user .text, .assistant .text')].map(one => one.textContent)")
    assert [text.split() for text in texts] == [one["text"].split() for one in chat.said()], texts
    return f"{result}; all {len(shown)} characters, once"


def question(chat: Chat) -> str:
    """a question, answered by a button, by keyboard"""
    chat.say("Plan a trip to the sea")
    chat.until("document.querySelector('.progress')?.textContent", "progress")
    chat.until_state("asking")
    assert "Write an answer" == chat.js("document.getElementById('text').placeholder")
    for _ in range(2):
        chat.back_tab()
    assert "Book it" == chat.focused(), chat.focused()
    chat.keys("\ue007")
    chat.until_state("writing")
    chat.until_state("ready")
    assert chat.answer.startswith("Booked."), chat.answer
    assert "text" == chat.focused(), chat.focused()
    assert 0 == chat.js("document.querySelectorAll('.question').length")
    return "the run went on"


def written(chat: Chat) -> str:
    """a question, still shown after a reload, answered with text"""
    chat.say("Plan a trip to the sea")
    chat.until_state("asking")
    chat.driver.refresh()
    chat.until_state("asking")
    chat.say("Only if it rains")
    chat.until_state("ready")
    assert "“Only if it rains”" in chat.answer, chat.answer
    return "the run went on"


def failed(chat: Chat) -> str:
    """a failure is shown, after a reload too; Try again continues"""
    chat.say("How is the weather at sea?")
    for _ in range(2):
        chat.until("document.querySelector('.error')", "the error")
        result = chat.js("document.querySelector('.error p').textContent")
        assert "The weather station does not answer." == result, result
        chat.driver.refresh()
    chat.until("document.querySelector('.error')", "the error")
    chat.back_tab()
    assert "Try again" == chat.focused(), chat.focused()
    chat.keys("\ue007")
    chat.until_state("writing")
    chat.until_state("ready")
    assert chat.answer.startswith("The station answers again."), chat.answer
    assert 0 == chat.js("document.querySelectorAll('.error').length")
    return "answered at the second attempt"


def tabs(chat: Chat) -> str:
    """a second tab shows the same run, and can stop it"""
    driver, first = chat.driver, chat.driver.current_window_handle
    address = driver.current_url
    driver.switch_to.new_window("tab")
    second = driver.current_window_handle
    driver.get(address)
    chat.until_state("ready")
    driver.switch_to.window(first)
    chat.say("Tell me a long story")
    chat.until_answer(50)
    driver.switch_to.window(second)
    chat.until_answer(100)
    driver.execute_script("document.getElementById('stop').click()")
    chat.until_state("ready")
    there = chat.answer
    driver.close()
    driver.switch_to.window(first)
    chat.until_state("ready")
    assert there == chat.answer
    chat.until("[...document.querySelectorAll('.note')].at(-1)?.textContent === 'Stopped'", "the word Stopped")
    return "followed and stopped"


def widths(chat: Chat) -> str:
    """no horizontal scrolling from 320 to 1920 pixels, also with long words"""
    chat.say("W" * 300)
    chat.until_state("ready")
    js = "[document.scrollingElement, log].map(one => one.scrollWidth - one.clientWidth)"
    outer = "document.scrollingElement.scrollHeight - document.scrollingElement.clientHeight"
    tried = (320, 360, 414, 600, 768, 1024, 1280, 1920)
    for width in tried:
        chat.emulate(width, 640, "light")
        assert [0, 0] == chat.js(js), (width, chat.js(js))
        assert 0 == chat.js(outer), width
        inside = chat.js(
            "[...document.querySelectorAll('header *, footer *')].every(one => one.getBoundingClientRect().right <= innerWidth)"
        )
        assert inside, width
    chat.emulate(*SIZES["wide"], "light")
    return f"{len(tried)} widths"


def luminance(color: str) -> float:
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear))


def contrast(chat: Chat) -> str:
    """contrast of text at least 4.5, of the parts of controls at least 3"""
    lowest: tuple[float, str] = (21.0, "")
    for scheme in SCHEMES:
        chat.emulate(*SIZES["wide"], scheme)
        for text, behind, least in CONTRASTS:
            colors = [
                chat.js(f"getComputedStyle(document.documentElement).getPropertyValue('--{name}')").strip()
                for name in (text, behind)
            ]
            dark, light = sorted(map(luminance, colors))
            ratio = (light + 0.05) / (dark + 0.05)
            assert ratio >= least, f"{scheme}: {text} on {behind} has {ratio:.2f}, not {least}"
            if least >= 4.5:
                lowest = min(lowest, (ratio, f"{text} on {behind}, {scheme}"))
    return "lowest of text {:.2f} ({})".format(*lowest)


def motion(chat: Chat) -> str:
    """with prefers-reduced-motion nothing is animated"""
    chat.emulate(*SIZES["wide"], "light", motion="reduce")
    chat.say("Tell me a long story")
    chat.until_answer(20)
    assert 0 == chat.js("document.getAnimations().length")
    chat.emulate(*SIZES["wide"], "light")
    chat.until("document.getAnimations().length", "animations, where they are wanted")
    chat.driver.execute_script("document.getElementById('stop').click()")
    chat.until_state("ready")
    chat.until("!busy", "the answer to Stop")
    return "no animation runs"


def silent(chat: Chat) -> str:
    """the browser's console has only the errors of broken connections"""
    entries = [one["message"] for one in chat.driver.get_log("browser") if one["level"] == "SEVERE"]
    assert [] == [one for one in entries if "net::ERR_" not in one], entries
    return f"{len(entries)} of cuts"


CHECKS: list[Callable[[Chat], str]] = [
    alone,
    keyboard,
    tokens,
    newline,
    stopped,
    cut,
    offline,
    reload,
    question,
    written,
    failed,
    tabs,
    widths,
]
CHECKS += [scrolled, contrast, motion, silent]


def screenshots(chat: Chat, place: Path) -> None:
    """Take screenshots of each state, in each size and colour scheme."""
    place.mkdir(parents=True, exist_ok=True)
    for (size, (width, height)), scheme in itertools.product(SIZES.items(), SCHEMES):
        chat.emulate(width, height, scheme)

        def shot(name: str, prefix: str = f"{size}-{scheme}") -> None:
            chat.driver.save_screenshot(str(place / f"{prefix}-{name}.png"))

        chat.open()
        shot("1-empty")
        chat.say("Why are there two tides a day?")
        chat.until_answer(120)
        shot("2-streaming")
        chat.until_state("ready")
        chat.say("Plan a trip to the sea")
        chat.until("document.querySelector('.progress')?.textContent", "progress")
        shot("3-progress")
        chat.until_state("asking")
        shot("4-question")
        chat.say("Not today")
        chat.until_state("ready")
        chat.say("How is the weather at sea?")
        chat.until("document.querySelector('.error')", "the error")
        shot("5-error")
        chat.say("Tell me a long story")
        chat.until_answer(300)
        chat.proxy.refuse()
        chat.proxy.break_all()
        chat.until_state("reconnecting")
        shot("6-reconnecting")
        chat.proxy.listen()
        chat.until_state("writing")
        chat.driver.execute_script("document.getElementById('stop').click()")
        chat.until_state("ready")
        shot("7-stopped")
        chat.until("!busy", "the answer to Stop")
        chat.driver.execute_script("document.getElementById('chats').open = true")
        chat.until("document.querySelector('#chats a')", "the list of chats")
        shot("8-chats")


@contextlib.contextmanager
def site(directory: str) -> Iterator[str]:
    """Run the demo as a process. Its temporary files are in *directory*, which must be empty afterwards."""
    command = [sys.executable, "-m", "langgraph_runs", "demo", "--web"]
    environment = {**os.environ, "TMPDIR": directory, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as demo:
        assert demo.stdout is not None
        try:
            line = demo.stdout.readline()
            found = re.search(r"http://[\d.:]+", line)
            assert found, f"the demo did not tell its address: {line!r}"
            yield found.group()
        finally:
            demo.send_signal(signal.SIGINT)
            demo.wait(TIMEOUT)
    assert [] == os.listdir(directory), f"the demo left {os.listdir(directory)} behind"


@contextlib.contextmanager
def browser(chromium: str, chromedriver: str) -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(chromedriver))
    try:
        yield driver
    finally:
        driver.quit()


def missing() -> str | None:
    """Return one line that names what is not installed; None if everything is."""
    if not any(map(shutil.which, CHROMIUM)) or not shutil.which("chromedriver"):
        return "no Chromium with its driver: on Debian, apt install chromium chromium-driver"
    with contextlib.suppress(ImportError):
        import selenium  # noqa: F401

        return None
    return "no selenium: pip install selenium"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.browser", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--shots", type=Path, metavar="DIR", help="write screenshots of each state to this directory, and check nothing"
    )
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=f"some of {', '.join(one.__name__ for one in CHECKS)}")
    args = parser.parse_args()
    reason = missing()
    if reason is not None:
        print(reason, file=sys.stderr)
        return 2
    chromium = next(filter(None, map(shutil.which, CHROMIUM)))
    bad = 0
    with tempfile.TemporaryDirectory() as directory, site(directory) as url, CuttingProxy(url) as proxy:
        with browser(chromium, str(shutil.which("chromedriver"))) as driver:
            chat = Chat(driver, proxy)
            chat.emulate(*SIZES["wide"], "light")
            if args.shots:
                screenshots(chat, args.shots)
                return 0
            chat.open()
            for check in CHECKS:
                if args.checks and check.__name__ not in args.checks:
                    continue
                begun = time.monotonic()
                try:
                    result = check(chat)
                except AssertionError as error:
                    bad += 1
                    result = f"FAILED: {error}"
                    chat.proxy.listen() if chat.proxy._listener is None else None
                    chat.open()
                print(f"{(check.__doc__ or '').strip():<72} {time.monotonic() - begun:5.1f} s  {result}", flush=True)
    print("all hold" if not bad else f"{bad} do not hold")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
