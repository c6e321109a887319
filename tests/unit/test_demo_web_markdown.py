"""Markdown of the chat: what a page gets to show, and that nothing in it can act."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("django")
pytest.importorskip("nh3")
pytest.importorskip("markdown_it")

from langgraph_runs.demo.web import markdown


@pytest.mark.parametrize(
    ("text", "html"),
    [
        (
            "Here is **a day**:\n\n- `08:40` train",
            "<p>Here is <strong>a day</strong>:</p>\n<ul>\n<li><code>08:40</code> train</li>\n</ul>\n",
        ),
        ("one\ntwo", "<p>one<br>\ntwo</p>\n"),
        (
            "| a |\n|---|\n| 1 |",
            "<table>\n<thead>\n<tr>\n<th>a</th>\n</tr>\n</thead>\n<tbody>\n<tr>\n<td>1</td>\n</tr>\n</tbody>\n</table>\n",
        ),
        (
            "[sea](https://sea.example)",
            '<p><a href="https://sea.example" target="_blank" rel="noopener noreferrer nofollow">sea</a></p>\n',
        ),
    ],
    ids=str,
)
def test_markdown_becomes_html(text: str, html: str) -> None:
    assert html == markdown.html_of(text)


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "![x](https://elsewhere.example/pixel.png)",
        '<a href="https://x.example" onclick="alert(1)">x</a>',
        "<iframe src='https://x.example'></iframe>",
        "<style>body { display: none }</style>",
    ],
)
def test_nothing_acts_or_is_loaded(text: str) -> None:
    html = markdown.html_of(text) or ""
    assert not any(f"<{name}" in html for name in ("script", "img", "iframe", "style"))
    assert 'href="javascript' not in html and 'href="data' not in html
    assert not re.search(r"<[^>]*\son\w+=", html)


def test_without_the_libraries_there_is_no_html(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markdown, "_renderer", None)
    assert None is markdown.html_of("**a**")
