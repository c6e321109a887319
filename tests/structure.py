"""The structure of the package, as text: its packages and their size, its layers, and how many modules a request passes.

``python -m tests.structure`` prints all of it, ``--write`` puts the drawing of the layers into ``tests/README.rst``.
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import io
import os
import socket
import sys
import tempfile
import threading
import tokenize
import types
import uuid
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Set

__all__ = ["README", "drawing", "drawing_in_the_readme"]

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "langgraph_runs"
README = ROOT / "tests" / "README.rst"
#: The line of tests/README.rst above the drawing.
DRAWN_BELOW = ".. The layers, written by python -m tests.structure --write"
TESTING = "langgraph_runs.testing"


# -- size


class Size(NamedTuple):
    """How large a package is."""

    modules: int
    lines: int
    #: Lines that are neither blank nor only a comment or part of a docstring.
    code: int


def sizes() -> Dict[str, Size]:
    """The size of each package, and of each module that lies beside the packages."""
    found: Dict[str, Size] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).parts[0].replace(".py", "")
        text = path.read_text(encoding="utf-8")
        modules, lines, code = found.get(name, Size(0, 0, 0))
        found[name] = Size(modules + 1, lines + text.count("\n"), code + _lines_of_code(text))
    return found


def _lines_of_code(text: str) -> int:
    nothing = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: Set[int] = set()
    statement_begins = True
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.STRING and statement_begins:
            continue  # a docstring
        if token.type not in nothing:
            lines.update(range(token.start[0], token.end[0] + 1))
        statement_begins = token.type in nothing and (statement_begins or token.type != tokenize.COMMENT)
    return len(lines)


# -- layers


def drawing() -> str:
    """The layers from top to bottom, each package with those that it imports."""
    from .test_layers import IMPORTS, LAYERS, ORDER, package_of

    lines: List[str] = []
    for layer in LAYERS.strip().splitlines():
        for name in layer.split():
            targets = {package_of(found.target) for found in IMPORTS if found.ours and package_of(found.module) == name}
            below = " ".join(sorted(targets - {name}, key=ORDER.__getitem__))
            lines.append(f"{name:<14}-> {below}" if below else name)
        lines.append("-" * 60)
    return "\n".join(lines[:-1])


def drawing_in_the_readme() -> str:
    """What tests/README.rst has for it."""
    block = README.read_text(encoding="utf-8").split(DRAWN_BELOW + "\n\n::\n\n")[1]
    lines = []
    for line in block.splitlines():
        if line and not line.startswith("   "):
            break
        lines.append(line[3:])
    return "\n".join(lines).strip("\n")


def write() -> None:
    """Put the drawing into tests/README.rst."""
    text = README.read_text(encoding="utf-8")
    indented = ["   " + line for line in drawing_in_the_readme().splitlines()]
    drawn = ["   " + line for line in drawing().splitlines()]
    README.write_text(text.replace("\n".join(indented), "\n".join(drawn)), encoding="utf-8")


# -- the way of a request


class Walk:
    """The modules of the package that have a function called while it records, for each thread."""

    def __init__(self) -> None:
        self._threads: Dict[int, List[str]] = {}
        #: Those of the recording thread when its first request had been sent.
        self.until_sent: List[str] = []

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        own = threading.get_ident()
        sent = False

        def note(frame: types.FrameType, event: str, argument: Any) -> None:
            nonlocal sent
            thread = threading.get_ident()
            seen = self._threads.setdefault(thread, [])
            if event == "call" and frame.f_code.co_flags & inspect.CO_OPTIMIZED:  # a function, not the body of a class
                name = str(frame.f_globals.get("__name__"))
                if name.split(".")[0] == "langgraph_runs" and name not in seen:
                    seen.append(name)
            elif event == "c_call" and thread == own and isinstance(getattr(argument, "__self__", None), socket.socket):
                if argument.__name__.startswith("send"):
                    sent = True
                elif argument.__name__.startswith("recv") and sent and not self.until_sent:
                    self.until_sent = list(seen)

        threading.setprofile(note)
        sys.setprofile(note)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
        self.here = self._threads[own]

    @property
    def everywhere(self) -> List[str]:
        """The modules of all threads, without those that serve for the fake server."""
        client = [names for names in self._threads.values() if not any(name.startswith(TESTING) for name in names)]
        return list(dict.fromkeys(name for names in client for name in names))


def walks() -> Dict[str, List[str]]:
    """The modules that ``metadata=`` passes on its way to the wire, and those that one input of a map with a ledger needs."""
    from langgraph_runs import Client
    from langgraph_runs.testing import fake_server, succeeds

    def stream(client: Client) -> None:
        with client.runs.stream(str(uuid.uuid4()), "agent", metadata={"source": "mail"}, if_not_exists="create") as events:
            list(events)

    def run_map(client: Client) -> None:
        with tempfile.TemporaryDirectory() as directory:
            list(client.runs.map("agent", [{"n": 1}], ledger=os.path.join(directory, "ledger")))

    def walk(call: Callable[[Client], None]) -> Walk:
        fake.script(succeeds({"n": 1}), succeeds({"n": 1}))
        with Client(fake.url, api_key=None) as client:
            call(client)  # what is imported with the first call is not part of the way
            found = Walk()
            with found.recording():
                call(client)
        return found

    with fake_server() as fake:
        streamed, mapped = walk(stream), walk(run_map)
    return {
        "stream(metadata=...) until the request is sent": streamed.until_sent,
        "one input of a map with a ledger, all threads": mapped.everywhere,
        "the same, the iterating thread alone": mapped.here,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.structure", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the drawing of the layers into tests/README.rst")
    parser.add_argument("--walks", action="store_true", help="print the modules that a request passes, and nothing else")
    arguments = parser.parse_args()
    if arguments.write:
        write()
        return
    if not arguments.walks:
        found = sizes()
        print(f"{'package':<16} {'modules':>8} {'lines':>8} {'code':>8}")
        for name, size in sorted(found.items(), key=lambda item: -item[1].lines):
            print(f"{name:<16} {size.modules:>8} {size.lines:>8} {size.code:>8}")
        total = [sum(size[field] for size in found.values()) for field in range(3)]
        print(f"{'in all':<16} {total[0]:>8} {total[1]:>8} {total[2]:>8}\n\n{drawing()}\n")
    for title, names in walks().items():
        inside = [name[len("langgraph_runs.") :] or "__init__" for name in names]
        packages = {name.split(".")[0] for name in inside}
        print(f"{title}: {len(names)} modules of {len(packages)} packages\n    {' '.join(inside)}")


if __name__ == "__main__":
    main()
