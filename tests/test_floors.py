"""The house's order: a module imports only from lower floors, and each library has one door. The imports are parsed, not run."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Set, Tuple

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "langgraph_runs"

#: A module may import from modules with a lower number only. A package (``cli``, ``demo``, ``django``, ``testing``) counts as one.
FLOORS: Dict[str, int] = {
    "_early": 0,
    "_version": 0,
    "abort": 0,
    "cursor": 0,
    "errors": 0,
    "events": 0,
    "models": 0,
    "brake": 0,
    "hands": 0,
    "sockets": 0,
    "deadline": 1,
    "headers": 1,
    "options": 1,
    "sse": 1,
    "structure": 1,
    "results": 1,
    "progress": 1,
    "ledgerfile": 1,
    "codec": 2,
    "endpoints": 2,
    "payloads": 2,
    "scope": 2,
    "exchange": 3,
    "retry": 3,
    "ledger": 3,
    "claims": 3,
    "inputs": 3,
    "splitting": 3,
    "answers": 4,
    "dialing": 4,
    "flights": 4,
    "faults": 4,
    "body": 5,
    "connections": 5,
    "pools": 6,
    "adapter": 7,
    "transport": 8,
    "calls": 9,
    "creating": 9,
    "outcome": 9,
    "feed": 9,
    "listing": 10,
    "starting": 10,
    "streaming": 10,
    "waiting": 10,
    "launches": 11,
    "assistants": 12,
    "crons": 12,
    "threads": 12,
    "errands": 12,
    "crew": 13,
    "judge": 13,
    "mapping": 14,
    "many": 15,
    "runs": 16,
    "client": 17,
    "devserver": 18,
    "django": 18,
    "testing": 19,
    "demo": 19,
    "cli": 20,
    "__main__": 21,
    "__init__": 21,
}

#: The modules that may import a library, by the library. A library that is not here may be imported by none of them.
DOORS: Dict[str, Set[str]] = {
    "attrs": {"calls", "client", "codec", "creating", "events", "listing", "models", "outcome", "payloads", "retry"}
    | {"starting", "streaming", "structure", "transport", "batch", "testing", "crons", "django.frames"}
    | {"claims", "flights", "errands", "inputs", "ledger", "many", "mapping", "progress", "results", "splitting"},
    "cattrs": {"structure"},
    "orjson": {"codec"},
    "requests": {"adapter", "body", "client", "faults"},
    "urllib3": {"connections", "dialing", "faults", "pools"},
    "sseclient": {"sse"},
    "tenacity": {"retry"},
    "tqdm": {"progress"},
    "typing_extensions": {"assistants", "client", "launches", "runs", "threads", "crons"},
    "pytest": {"testing.plugin"},
    "django": {"django", "demo"},
}

#: Imports that are not made until they are needed, with what they would cost every program.
LAZY: Set[Tuple[str, str]] = {
    ("__init__", "importlib"),  # only for the names that it brings late
    ("runs", "many"),  # maps, with their ledger and all else: a tenth of what importing takes
    ("cli.__init__", "cli"),  # so that a Ctrl-C while it loads shows no traceback
    ("cli.demo", "demo"),  # the tour and the server it starts: only for those who watch it
    ("cli.demo", "demo.web"),  # Django, which is an extra
    ("cli.demo", "devserver"),
    ("cli.doctor", "importlib.metadata"),  # 10 ms each, for one command
    ("cli.doctor", "urllib.request"),
    ("codec", "structure"),  # cattrs: 20 ms, and streams do without
    ("client", "adapter"),  # requests: 60 ms, the most of all
    ("headers", "email.utils"),  # most answers need no date
    ("hands", "concurrent.futures"),  # only maps use it
    ("ledgerfile", "sqlite3"),  # only ledgers do
    ("progress", "tqdm"),  # an extra, and only for a bar
    ("testing.network", "connections"),  # brings urllib3
    ("retry", "tenacity"),  # brings asyncio with it
}

#: Run by path in another process, or inside of a server, and never imported by the package.
OUTSIDE = {"_serve", "demo.graph", "demo.web.graph"}


class Import(NamedTuple):
    """One import in one module."""

    module: str
    #: ``errors`` for one of ours, ``requests.adapters`` for another.
    target: str
    ours: bool
    #: Within a function, so that it is made when that runs.
    lazy: bool
    #: Under ``if TYPE_CHECKING``, so that it is never made.
    typing: bool
    line: int


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def modules() -> Dict[str, ast.Module]:
    found = {name_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
    return {name: tree for name, tree in found.items() if name not in OUTSIDE}


def imports_of(name: str, tree: ast.Module) -> Iterator[Import]:
    def walk(node: ast.AST, lazy: bool, typing: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            inside = lazy or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            checking = typing or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test))
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(name, alias.name, alias.name.split(".")[0] == "langgraph_runs", lazy, typing, child.lineno)
            elif isinstance(child, ast.ImportFrom):
                up = child.level - (1 if "." not in name else name.count(".") + 1) if child.level else None
                if up is None:
                    yield Import(name, child.module or "", False, lazy, typing, child.lineno)
                elif child.module:
                    yield Import(name, child.module if up >= 0 else name.split(".")[0], True, lazy, typing, child.lineno)
                else:
                    for alias in child.names:
                        yield Import(name, alias.name if up >= 0 else name.split(".")[0], True, lazy, typing, child.lineno)
            yield from walk(child, inside, checking)

    yield from walk(tree, False, False)


MODULES = modules()
IMPORTS: List[Import] = [found for name, tree in MODULES.items() for found in imports_of(name, tree)]


def floor(module: str) -> int:
    return FLOORS[module.split(".")[0]]


def test_every_module_has_a_floor() -> None:
    """A new module is put into the table by whoever makes it."""
    assert set() == {name.split(".")[0] for name in MODULES} - set(FLOORS)


def test_imports_go_down() -> None:
    """No module imports from its own floor or a higher one, not even lazily or for its types; so there are no circles."""
    wrong = [
        f"{found.module}:{found.line} imports {found.target}"
        for found in IMPORTS
        if found.ours and found.module.split(".")[0] != found.target.split(".")[0] and floor(found.module) <= floor(found.target)
    ]
    assert [] == wrong


def test_floors_are_no_higher_than_they_must_be() -> None:
    """Each module stands just above the highest one that it uses, so that the table says what depends on what."""
    free = {
        "__init__",
        "__main__",
        "cli",
        "demo",
        "client",
        "devserver",
        "django",
        "testing",
        "assistants",
        "threads",
        "crons",
    }
    wrong = []
    for name in MODULES:
        used = [floor(found.target) for found in IMPORTS if found.ours and found.module == name and found.target in FLOORS]
        if name.split(".")[0] not in free and floor(name) != (max(used) + 1 if used else 0):
            wrong.append(f"{name} is on {floor(name)}, uses {max(used, default=-1)}")
    assert [] == wrong


@pytest.mark.parametrize("library", sorted(DOORS))
def test_a_library_has_its_doors(library: str) -> None:
    """Only the modules of the table import it, and all of those that exist do."""
    users = {found.module for found in IMPORTS if not found.ours and found.target.split(".")[0] == library}
    assert set() == {user for user in users if user not in DOORS[library] and user.split(".")[0] not in DOORS[library]}
    assert users


def test_no_other_library_is_imported() -> None:
    """Beside the standard library and the doors there is nothing, and in particular no asyncio."""
    standard = {
        *("__future__", "ast", "argparse", "base64", "binascii", "collections", "contextlib", "dataclasses", "datetime", "decimal"),
        *("difflib", "email", "enum", "functools", "http", "importlib", "inspect", "io", "itertools", "json", "logging", "math"),
        *(
            "os",
            "pathlib",
            "queue",
            "random",
            "re",
            "select",
            "shutil",
            "signal",
            "socket",
            "ssl",
            "string",
            "struct",
            "subprocess",
        ),
        *("secrets", "webbrowser"),  # the chat
        *("sys", "tempfile", "textwrap", "threading", "time", "types", "typing", "urllib", "uuid", "warnings", "weakref", "zlib"),
        *("codecs", "hashlib", "heapq", "operator", "sqlite3", "csv", "concurrent", "traceback", "errno", "fcntl", "hmac", "atexit"),
        *("ipaddress", "pickle", "platform"),
    }
    others = {found.target.split(".")[0] for found in IMPORTS if not found.ours} - standard - set(DOORS)
    assert set() == others


def test_only_the_documented_imports_are_lazy() -> None:
    """An import within a function hides a dependency: each has its reason in the table, and no circle among them."""
    found = {(found.module, found.target) for found in IMPORTS if found.lazy}
    assert LAZY == found


def test_imports_for_types_are_of_lower_floors_or_typing() -> None:
    """What is imported for a type checker alone is one of ours or a library with a door."""
    assert [] == [
        found for found in IMPORTS if found.typing and not found.ours and found.target.split(".")[0] not in {*DOORS, "datetime"}
    ]


def test_no_shared_retry_decorator() -> None:
    """A function that tenacity decorates is not safe to call from two threads: nothing in the package is."""
    decorators = [
        ast.dump(decorator)
        for tree in MODULES.values()
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        for decorator in node.decorator_list
    ]
    assert [] == [text for text in decorators if "retry" in text.lower()]


def test_no_room_without_a_name() -> None:
    """There are no modules called utils, helpers, base, core, common, misc or manager."""
    assert set() == {"utils", "helpers", "base", "core", "common", "misc", "manager"} & {
        part for name in MODULES for part in name.split(".")
    }


def test_every_module_says_what_it_is() -> None:
    """Each begins with a docstring, and names what it exports."""
    assert [] == [name for name, tree in MODULES.items() if not ast.get_docstring(tree)]
    without = {"__main__", "_version", "demo.__init__", "demo.web.__init__"}
    assert [] == [
        name
        for name, tree in MODULES.items()
        if name not in without
        and not any(
            isinstance(node, ast.Assign) and ast.dump(node.targets[0]).startswith("Name(id='__all__'") for node in tree.body
        )
    ]


def test_no_module_keeps_state() -> None:
    """No module rebinds a name of its own from within a function: there are no mutable globals."""
    assert [] == [name for name, tree in MODULES.items() for node in ast.walk(tree) if isinstance(node, ast.Global)]
