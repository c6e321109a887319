"""Curves as an SVG that needs no library to draw: a panel for each measure, a line for each side, both axes labelled."""

from __future__ import annotations

import math
from typing import Callable, Mapping, Sequence, Tuple

__all__ = ["draw"]

Panel = Tuple[str, Mapping[str, Mapping[int, float]], Callable[[float], str]]

_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 400, 230, 50, 60, 90
_COLORS = {"ours": "#1b6ca8", "sdk": "#c0392b", "floor": "#7f8c8d"}
_NAMES = {"ours": "langgraph_runs", "sdk": "langgraph-sdk", "floor": "floor: raw socket, orjson"}


def _step(top: float) -> float:
    """A round distance for about five lines up to *top*."""
    power = 10.0 ** math.floor(math.log10(top / 5))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor * 5 >= top)


def _text(x: float, y: float, text: str, anchor: str = "middle", color: str = "#333", weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}" font-weight="{weight}">{text}</text>'


def _panel(left: float, title: str, sides: Mapping[str, Mapping[int, float]], label: Callable[[float], str]) -> list[str]:
    top = max(value for series in sides.values() for value in series.values())
    step = _step(top)
    high = math.ceil(top / step) * step
    places = sorted({x for series in sides.values() for x in series})

    def at(x: int, y: float) -> tuple[float, float]:
        across = (math.log(x) - math.log(places[0])) / (math.log(places[-1]) - math.log(places[0]))
        return left + across * _WIDTH, _TOP + _HEIGHT * (1 - y / high)

    parts = [_text(left, _TOP - 30, title, "start", weight="bold")]
    for number in range(round(high / step) + 1):
        y = at(places[0], number * step)[1]
        parts.append(f'<line x1="{left}" y1="{y:.1f}" x2="{left + _WIDTH}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(_text(left - 8, y + 4, f"{number * step:g}", "end"))
    for x in places:
        parts.append(_text(at(x, 0)[0], _TOP + _HEIGHT + 20, label(x)))
    for side, series in sides.items():
        color = _COLORS.get(side, "black")
        points = [at(x, y) for x, y in series.items()]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in points]
    return parts


def draw(panels: Sequence[Panel]) -> str:
    """Title, series by side (x to y) and how an x is written, for each panel; x is on a logarithmic axis, y begins at 0."""
    width = len(panels) * (_WIDTH + _GAP) + _LEFT
    height = _TOP + _HEIGHT + 70
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for index, (title, sides, label) in enumerate(panels):
        parts += _panel(_LEFT + index * (_WIDTH + _GAP), title, sides, label)
    x = float(_LEFT)
    for side in {side: None for _, sides, _ in panels for side in sides}:
        name = _NAMES.get(side, side)
        parts.append(f'<rect x="{x}" y="{height - 30}" width="12" height="12" fill="{_COLORS.get(side, "black")}"/>')
        parts.append(_text(x + 18, height - 20, name, "start"))
        x += 40 + 7 * len(name)
    return "\n".join([*parts, "</svg>", ""])
