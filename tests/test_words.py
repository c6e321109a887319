"""No private words: the names and the prose of the package use the words of the field, so that a stranger knows them."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path
from typing import Iterator, List, Tuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "langgraph_runs"

#: Words that are no part of an identifier: metaphors of former versions, each with a plain word in its place today.
NO_PART_OF_A_NAME = {
    *("adopt", "adopted", "answers", "asked", "asks", "brake", "conclude", "crew", "errand", "errands", "flights", "gone"),
    *("hands", "hung", "judge", "knowledge", "litter", "nobody", "ours", "patience", "redo", "settle", "somebody", "strikes"),
    *("sweep", "sweeper", "sweepers", "swept", "tell", "tells", "theirs", "ticket", "told"),
}
#: Files whose words stay: names in the ledgers of users, and the story that the demo tells.
EXEMPT = {"batch/ledger/sqlite_file.py", "demo/web/graph.py"}
#: Words and phrases that stand in no docstring, comment, message or document.
NOT_IN_PROSE = re.compile(
    r"\b(errands?|crew|sweepers?|litter|hangs? (something )?on|hung on|so many seconds|tells? apart|told apart|house|rooms?"
    r"|come into being|asked for|asks for|is told|are told|nobody|whoever|of (ours|theirs)|let go of|in whatever way|dressed up"
    r"|so that is where|where (it|that) is so|all the same)\b",
    re.IGNORECASE,
)


def identifiers(path: Path) -> Iterator[Tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.NAME:
            yield token.start[0], token.string


def parts(name: str) -> List[str]:
    """The words of a snake_case or CamelCase name."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def test_identifiers_use_no_private_words() -> None:
    assert [] == [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, name in identifiers(path)
        if NO_PART_OF_A_NAME.intersection(parts(name))
    ]


def test_prose_uses_no_private_words() -> None:
    documents = [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.rst"), ROOT / "README.rst"]
    assert [] == [
        f"{path.relative_to(ROOT)}:{number} {found.group()}"
        for path in sorted(documents)
        if str(path.relative_to(PACKAGE.parent)).partition("/")[2] not in EXEMPT
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for found in NOT_IN_PROSE.finditer(line)
    ]
