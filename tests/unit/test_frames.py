"""Bytes cut into the frames of server-sent events, in whatever pieces they come. Their contents are tested in test_sse."""

from __future__ import annotations

from typing import List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_runs.streaming.frames import FrameCutter, FrameTooLargeError

PIECES = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"\n\n", b"a", b"data: x", "\u00e9".encode(), b"\xef\xbb\xbf", b"y" * 600]), max_size=20
)


def cut(*chunks: bytes) -> List[List[bytes]]:
    cutter = FrameCutter()
    return [frame for chunk in chunks for frame in cutter.cut(chunk)]


@given(PIECES)
def test_the_frames_do_not_depend_on_the_pieces(pieces: List[bytes]) -> None:
    whole = b"".join(pieces)
    assert cut(whole) == cut(*pieces) == cut(*(whole[at : at + 1] for at in range(len(whole))))


@given(PIECES)
def test_frames_are_the_lines_between_blank_lines(pieces: List[bytes]) -> None:
    whole = b"".join(pieces)
    frames: List[List[bytes]] = [[]]
    for line in (whole[3:] if whole.startswith(b"\xef\xbb\xbf") else whole).splitlines(keepends=True):
        if line.strip(b"\r\n"):
            frames[-1].append(line.rstrip(b"\r\n"))
        else:
            frames.append([])
    assert [frame for frame in frames[:-1] if frame] == cut(whole)


def test_comments_belong_to_no_event() -> None:
    cutter = FrameCutter()
    cutter.cut(b": heartbeat\n")
    assert (True, False) == (cutter.pending, cutter.in_event)
    cutter.cut(b": ha")
    cutter.cut(b"lf")
    assert (True, False) == (cutter.pending, cutter.in_event)
    cutter.cut(b"\nda")
    assert (True, True) == (cutter.pending, cutter.in_event)


@pytest.mark.parametrize(("chunks", "ascii"), [([b"a\n\n"], True), (["é\n\n".encode()], False), (["é".encode(), b"\n\n"], False)])
def test_frames_are_known_to_be_ascii(chunks: List[bytes], ascii: bool) -> None:
    cutter = FrameCutter()
    for chunk in chunks:
        cutter.cut(chunk)
    assert ascii is cutter.ascii
    cutter.cut(b"b\n\n")
    assert True is cutter.ascii


def test_a_frame_that_is_too_large_comes_after_those_before_it() -> None:
    with pytest.raises(FrameTooLargeError) as caught:
        FrameCutter(10).cut(b"data: 1\n\ndata: 2\n\n" + b"data: 12345\n\n" + b"data: 3\n\n")
    assert [[b"data: 1"], [b"data: 2"]] == caught.value.before


def test_the_lines_that_a_chunk_completes_are_counted() -> None:
    cutter = FrameCutter()
    cutter.cut(b"data: 1\n")
    cutter.cut(b"data: 2\nretry: 5\nda")
    assert (2, [b"data: 1", b"data: 2", b"retry: 5"]) == (cutter.new_lines, cutter.lines)
    cutter.cut(b"ta")
    assert 0 == cutter.new_lines
