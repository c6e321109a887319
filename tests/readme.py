"""README.rst and the chapters beside the code: where they are, and their code blocks with the lines that they stand on."""

from __future__ import annotations

import contextlib
import logging
import re
import textwrap
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Tuple

ROOT = Path(__file__).resolve().parent.parent
_DIRECTIVE = re.compile(r"\.\. code-block:: (\S+)\s*\Z")
#: Precedes each line that a block prints.
_SHOWN = "# -> "


class Block(NamedTuple):
    """One code block of a document."""

    #: The path of the document below the root of the checkout.
    document: str
    #: The language of a ``code-block``; empty for a literal block, which a line that ends with ``::`` begins.
    language: str
    #: The number of its first line in the document; 1 is the first.
    line: int
    text: str

    @property
    def place(self) -> str:
        return f"{self.document}, line {self.line}"

    @property
    def shown(self) -> List[str]:
        """The lines that the block says it prints."""
        return [text.strip()[len(_SHOWN) :] for text in self.text.splitlines() if text.strip().startswith(_SHOWN)]

    def source(self) -> str:
        """The text on the same line numbers as in the document, so that a traceback names the right line."""
        return "\n" * (self.line - 1) + self.text


class Document:
    """README.rst or a chapter."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.relative_to(ROOT).as_posix()

    def __repr__(self) -> str:
        return self.name

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def blocks(self, language: str) -> List[Block]:
        """All code blocks in that language, from top to bottom."""
        return [block for block in self._blocks() if block.language == language]

    def block_below(self, heading: str) -> Block:
        """The first literal block below the first line that is *heading*."""
        first = self.text.split("\n").index(heading) + 1
        return next(block for block in self.blocks("") if block.line > first)

    def table(self, header: str) -> str:
        """The rows of the table whose header begins with *header*."""
        found = re.search(rf"^=+ [= ]+\n{header} [^\n]*\n=+ [= ]+\n(.*?)\n=+ [= ]+$", self.text, re.MULTILINE | re.DOTALL)
        assert found is not None, f"{self.name} has no table whose header begins with {header}"
        return found.group(1)

    def _blocks(self) -> Iterator[Block]:
        lines = self.text.split("\n")
        for number, line in enumerate(lines):
            directive = _DIRECTIVE.match(line)
            literal = line.endswith("::") and not line.startswith(("..", " "))
            if directive is None and not literal:
                continue
            first = number + 1
            while not lines[first].strip():
                first += 1
            last = first
            while last < len(lines) and (not lines[last].strip() or lines[last].startswith(" ")):
                last += 1
            text = textwrap.dedent("\n".join(lines[first:last])).rstrip() + "\n"
            yield Block(self.name, directive.group(1) if directive else "", first + 1, text)


README = Document(ROOT / "README.rst")
#: The chapters, by the name of the directory that each one describes.
CHAPTERS: Dict[str, Document] = {
    path.parent.name: Document(path)
    for path in [*sorted(ROOT.glob("langgraph_runs/*/README.rst")), ROOT / "tests" / "bench" / "README.rst"]
}
DOCUMENTS: List[Document] = [README, *CHAPTERS.values()]


def all_blocks(language: str) -> List[Block]:
    """The code blocks of all documents in that language."""
    return [block for document in DOCUMENTS for block in document.blocks(language)]


@contextlib.contextmanager
def logging_restored() -> Iterator[None]:
    """Give each logger its level, handlers and other settings back at the end. A logger that is new gets the defaults."""

    def loggers() -> List[logging.Logger]:
        known = logging.Logger.manager.loggerDict.values()
        return [logging.getLogger(), *(logger for logger in known if isinstance(logger, logging.Logger))]

    def state(logger: logging.Logger) -> Tuple[int, bool, bool, List[logging.Handler], List[logging.Filter]]:
        return logger.level, logger.propagate, logger.disabled, list(logger.handlers), list(logger.filters)  # type: ignore[arg-type]

    before = {logger: state(logger) for logger in loggers()}
    disabled = logging.Logger.manager.disable
    try:
        yield
    finally:
        logging.disable(disabled)
        for logger in loggers():
            level, logger.propagate, logger.disabled, handlers, filters = before.get(logger, (logging.NOTSET, True, False, [], []))
            logger.setLevel(level)
            logger.handlers[:] = handlers
            logger.filters[:] = filters
