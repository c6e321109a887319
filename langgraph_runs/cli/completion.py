"""``langgraph-runs completion``: completion scripts for shells, generated from the argument parsers."""

from __future__ import annotations

import argparse
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Sequence, Tuple

from .. import exit_codes
from .command import Command
from .console import write_output

__all__ = ["Word", "command_for", "words"]


class Word(NamedTuple):
    """One word that may follow a command: an option, a subcommand or a value."""

    text: str
    about: str
    #: The values that an option takes: these words; None for a file or any text; ``()`` for an option without a value.
    values: Any = ()


def words(parser: argparse.ArgumentParser, path: Tuple[str, ...] = ()) -> Iterator[Tuple[Tuple[str, ...], List[Word]]]:
    """Yield the path of each command and each group, with the words that may follow it."""
    found: List[Word] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            about = {choice.dest: choice.help or "" for choice in action._choices_actions}
            found += [Word(name, about.get(name, "")) for name in action.choices]
            for name, inner in action.choices.items():
                yield from words(inner, (*path, name))
        for option in action.option_strings:
            values = tuple(map(str, action.choices)) if action.choices else () if action.nargs == 0 else None
            found.append(Word(option, _about(action), values))
        if not action.option_strings and action.choices and not isinstance(action, argparse._SubParsersAction):
            found += [Word(str(choice), "") for choice in action.choices]
    yield path, found


def _about(action: argparse.Action) -> str:
    return " ".join((action.help or "").split())


def bash(tree: Dict[Tuple[str, ...], List[Word]]) -> str:
    """Return the script for bash 3.2 and newer; it does not need the package bash-completion."""
    cases = []
    options = []
    for path, found in sorted(tree.items()):
        cases.append(f"        {_quoted(' '.join(path))}) words={_quoted(' '.join(word.text for word in found))} ;;")
        texts = [_quoted(" ".join([*path, word.text])) for word in found if word.values is None]
        if texts:
            options.append(f"        {'|'.join(texts)}) return ;;")  # with no words, bash completes file names
        for word in found:
            if word.values:
                options.append(f"        {_quoted(' '.join([*path, word.text]))}) words={_quoted(' '.join(word.values))} ;;")
    groups = "|".join(sorted({_quoted(path[0]) for path in tree if len(path) > 1}))
    return f"""\
# bash completion for langgraph-runs; put into ~/.bashrc:  eval "$(langgraph-runs completion bash)"
_langgraph_runs() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}" command="" word index words=""
    COMPREPLY=()
    for ((index = 1; index < COMP_CWORD; index++)); do
        word="${{COMP_WORDS[index]}}"
        case "$word" in -*) continue ;; esac
        if [ -z "$command" ]; then
            command="$word"
            case "$command" in {groups}) continue ;; esac
        else
            command="$command $word"
        fi
        break
    done
    case "$command $previous" in
{chr(10).join(options)}
    esac
    if [ -z "$words" ]; then
        case "$command" in
{chr(10).join(cases)}
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o bashdefault -o default -F _langgraph_runs langgraph-runs
"""


def zsh(tree: Dict[Tuple[str, ...], List[Word]]) -> str:
    """Return the script for zsh with compinit."""
    cases = []
    for path, found in sorted(tree.items()):
        described = " ".join(_quoted(f"{word.text.replace(':', chr(92) + ':')}:{word.about}") for word in found)
        cases.append(f"        {_quoted(' '.join(path))}) found=({described}) ;;")
    options = [
        f"        {_quoted(' '.join([*path, word.text]))}) "
        + ("_files" if word.values is None else f"compadd -- {' '.join(map(_quoted, word.values))}")
        + "; return ;;"
        for path, found in sorted(tree.items())
        for word in found
        if word.values != ()
    ]
    groups = "|".join(sorted({_quoted(path[0]) for path in tree if len(path) > 1}))
    return f"""\
#compdef langgraph-runs
# zsh completion for langgraph-runs; put into ~/.zshrc, below compinit:  eval "$(langgraph-runs completion zsh)"
_langgraph_runs() {{
    local line="" word index
    local -a found
    for ((index = 2; index < CURRENT; index++)); do
        word="${{words[index]}}"
        case "$word" in -*) continue ;; esac
        if [[ -z "$line" ]]; then
            line="$word"
            case "$line" in {groups}) continue ;; esac
        else
            line="$line $word"
        fi
        break
    done
    case "$line ${{words[CURRENT-1]}}" in
{chr(10).join(options)}
    esac
    case "$line" in
{chr(10).join(cases)}
    esac
    _describe 'langgraph-runs' found || _files
}}
compdef _langgraph_runs langgraph-runs
"""


def fish(tree: Dict[Tuple[str, ...], List[Word]]) -> str:
    """Return the script for fish 3 and newer."""
    lines = [
        "# fish completion for langgraph-runs:  langgraph-runs completion fish > ~/.config/fish/completions/langgraph-runs.fish"
    ]
    tops = " ".join(word.text for word in tree[()] if not word.text.startswith("-"))
    groups = sorted({path[0] for path in tree if len(path) > 1})
    for path, found in sorted(tree.items()):
        if not path:
            where = f"not __fish_seen_subcommand_from {tops}"
        else:
            where = "; and ".join(f"__fish_seen_subcommand_from {name}" for name in path)
            if len(path) == 1 and path[0] not in groups:
                where += "".join(f"; and not __fish_seen_subcommand_from {group}" for group in groups)
        inner = " ".join(word.text for word in found if not word.text.startswith("-"))
        if path and inner and any(len(other) > len(path) and other[: len(path)] == path for other in tree):
            where += f"; and not __fish_seen_subcommand_from {inner}"
        for word in found:
            line = f"complete -c langgraph-runs -n {_fish(where)}"
            if word.text.startswith("--"):
                line += f" -l {word.text[2:]}"
            elif word.text.startswith("-"):
                line += f" -s {word.text[1:]}"
            else:
                line += f" -f -a {_fish(word.text)}"
            if word.values:
                line += f" -x -a {_fish(' '.join(word.values))}"
            elif word.values is None:
                line += " -r"
            lines.append(line + (f" -d {_fish(word.about)}" if word.about else ""))
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SHELLS: Dict[str, Callable[[Dict[Tuple[str, ...], List[Word]]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}


def command_for(whole: Callable[[], argparse.ArgumentParser]) -> Command:
    """Return the command; *whole* returns the parser of the whole command line, which includes this command."""

    def configure(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("shell", metavar="SHELL", choices=sorted(SHELLS), help="bash, zsh or fish")

    def run(args: argparse.Namespace) -> int:
        write_output(SHELLS[args.shell](dict(words(whole()))))
        return exit_codes.OK

    examples: Sequence[Tuple[str, str]] = [
        ('eval "$(langgraph-runs completion bash)"', "in ~/.bashrc"),
        ('eval "$(langgraph-runs completion zsh)"', "in ~/.zshrc, below compinit"),
        ("langgraph-runs completion fish > ~/.config/fish/completions/langgraph-runs.fish", "once"),
    ]
    return Command(
        name="completion",
        summary="print a shell completion script",
        description="Prints a script for bash, zsh or fish that completes commands, options and the values of options.",
        configure=configure,
        run=run,
        examples=examples,
    )
