"""README.rst in pieces: its code blocks, with the lines that they stand on."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Iterator, List, NamedTuple

ROOT = Path(__file__).parent.parent
README = ROOT / "README.rst"
_DIRECTIVE = re.compile(r"\.\. code-block:: (\S+)\s*\Z")
#: What stands behind it is what the block printed.
_SHOWN = "# -> "


class Block(NamedTuple):
    """One code block."""

    language: str
    #: The line of README.rst that its first line stands on; 1 is the first.
    line: int
    text: str

    @property
    def shown(self) -> List[str]:
        """The lines that the block says it prints."""
        return [text.strip()[len(_SHOWN) :] for text in self.text.splitlines() if text.strip().startswith(_SHOWN)]

    def source(self) -> str:
        """The text on its own lines of README.rst, so that a traceback names the right one."""
        return "\n" * (self.line - 1) + self.text


def blocks(language: str) -> List[Block]:
    """All blocks in that language, from top to bottom."""
    return [block for block in _blocks() if block.language == language]


def _blocks() -> Iterator[Block]:
    lines = README.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines):
        found = _DIRECTIVE.match(line)
        if found is None:
            continue
        first = number + 1
        while not lines[first].strip():
            first += 1
        last = first
        while last < len(lines) and (not lines[last].strip() or lines[last].startswith(" ")):
            last += 1
        yield Block(found.group(1), first + 1, textwrap.dedent("\n".join(lines[first:last])).rstrip() + "\n")
