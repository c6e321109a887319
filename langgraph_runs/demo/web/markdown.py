"""Markdown of a message as HTML that a page may show: rendered by markdown-it-py without raw HTML, and sanitised by nh3.

Both are in the extra ``demo``. Where they are not installed, the page shows the text as it is.
"""

from __future__ import annotations

from typing import Any, Optional

try:
    import nh3
    from markdown_it import MarkdownIt
except ImportError:  # the extra is not installed
    _renderer: Any = None
else:
    _renderer = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])

__all__ = ["html_of"]

#: What remains of the HTML. There are no images, since the page loads nothing from other hosts.
_TAGS = {
    *("a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s"),
    *("strong", "table", "tbody", "td", "th", "thead", "tr", "ul"),
}


def html_of(text: str) -> Optional[str]:
    """Return the text as safe HTML; None if the libraries for it are not installed."""
    if _renderer is None:
        return None
    return nh3.clean(
        _renderer.render(text),
        tags=_TAGS,
        attributes={"a": {"href"}, "ol": {"start"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )
