"""A fast server with the real one's responses, for measuring clients; it runs as a process of its own.

    python -m tests.bench.cheap_server      # prints its port

It sends CRLF lines, one chunk per event and Location headers, but no heartbeats. The run's input defines the events of a stream:
``{"events": n, "size": bytes, "kind": "custom"|"messages", "pace": seconds, "close": bool}``.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from typing import Any

RUN = "01a1fba7-134f-707a-814b-b1e6473e86be"
RUN_OBJECT = {
    "run_id": RUN,
    "thread_id": "01a1fba7-134d-75bb-be92-342b603af512",
    "assistant_id": "fe096781-5601-53d2-b2f6-0d3403f7e9ca",
    "metadata": {"created_by": "system", "graph_id": "agent", "assistant_id": "fe096781-5601-53d2-b2f6-0d3403f7e9ca"},
    "status": "success",
    "kwargs": {"input": {"n": 1}, "config": {"configurable": {"langgraph_request_id": "14da9ae3", "run_id": RUN}}},
    "multitask_strategy": "enqueue",
    "created_at": "2026-11-21T01:09:53.104205+00:00",
    "updated_at": "2026-11-21T01:09:53.104211+00:00",
    "langsmith_session_name": None,
}
RUN_JSON = json.dumps(RUN_OBJECT, separators=(",", ":")).encode()
DATE = b"date: Sat, 21 Nov 2026 01:09:53 GMT\r\nserver: uvicorn\r\nvary: Origin\r\n"


def response(body: bytes, further: bytes = b"") -> bytes:
    head = b"HTTP/1.1 200 OK\r\n" + DATE + b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body)
    return head + further + b"\r\n" + body


RUN_RESPONSE = response(RUN_JSON)
#: How many connections were accepted; shown at ``/connections``.
ACCEPTED = [0]


def event(kind: str, number: int, size: int) -> bytes:
    text = "x" * max(0, size - 60)
    if kind == "messages":
        data = [
            {
                "content": "tok",
                "type": "AIMessageChunk",
                "id": "run-1",
                "additional_kwargs": {},
                "tool_calls": [],
                "text": text[:150],
            },
            {"langgraph_step": 1, "langgraph_node": "chat", "thread_id": RUN_OBJECT["thread_id"], "run_id": RUN, "pad": text[:250]},
        ]
        body = json.dumps(data, separators=(",", ":")).encode()
    else:
        body = b'{"i":%d,"x":"%s"}' % (number, text.encode())
    frame = b"event: %s\r\ndata: %s\r\nid: %d-0\r\n\r\n" % (kind.encode(), body, 1795224633885 + number)
    return frame


def chunk(frame: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(frame), frame)


def serve(conn: socket.socket) -> None:
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    buffer = b""
    while True:
        while b"\r\n\r\n" not in buffer:
            data = conn.recv(65536)
            if not data:
                return
            buffer += data
        head, _, buffer = buffer.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        parts = [buffer]
        have = len(buffer)
        while have < length:
            data = conn.recv(1 << 20)
            if not data:
                return
            parts.append(data)
            have += len(data)
        whole = b"".join(parts)
        body, buffer = whole[:length], whole[length:]
        target = head.split(b" ", 2)[1].decode()
        if head.startswith(b"POST") and target.endswith("/stream"):
            if not stream(conn, json.loads(body)["input"], target):
                return
        elif head.startswith(b"POST") and target.endswith("/wait"):
            place = f"location: {target[:-5]}/{RUN}/join\r\ncontent-location: {target[:-5]}/{RUN}\r\n".encode()
            conn.sendall(response(b'{"n":3}', place))
        elif head.startswith(b"POST"):
            conn.sendall(response(RUN_JSON, f"content-location: {target}/{RUN}\r\n".encode()))
        elif target == "/connections":
            conn.sendall(response(b"%d" % ACCEPTED[0]))
        else:
            conn.sendall(RUN_RESPONSE)


def stream(conn: socket.socket, options: dict[str, Any], target: str) -> bool:
    close = options.get("close", False)
    runs = target[: -len("/stream")]
    head = b"HTTP/1.1 200 OK\r\n" + DATE + b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-store\r\n"
    head += f"location: {runs}/{RUN}/stream\r\ncontent-location: {runs}/{RUN}\r\n".encode()
    head += b"connection: close\r\n" if close else b"transfer-encoding: chunked\r\n"
    framed = (lambda frame: frame) if close else chunk
    first = b'event: metadata\r\ndata: {"run_id":"%s","attempt":1}\r\nid: 1795224633000-0\r\n\r\n' % RUN.encode()
    conn.sendall(head + b"\r\n" + framed(first))
    count, size, kind, pace = options["events"], options["size"], options.get("kind", "custom"), options.get("pace", 0)
    if pace:
        for number in range(count):
            time.sleep(pace)
            # The moment of sending goes along, so that the client can tell the delay.
            # The ids are times: events that come later than their ids say would be a backlog.
            at = 1795224633885 + round(1000 * pace * number)
            frame = b'event: custom\r\ndata: {"i":%d,"t":%.6f}\r\nid: %d-0\r\n\r\n' % (number, time.time(), at)
            conn.sendall(framed(frame))
    else:
        batch = 64 if size < 2000 else 1
        for start in range(0, count, batch):
            conn.sendall(b"".join(framed(event(kind, n, size)) for n in range(start, min(count, start + batch))))
    if close:
        conn.close()
        return False
    conn.sendall(b"0\r\n\r\n")
    return True


def main() -> None:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(256)
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    while True:
        conn, _ = listener.accept()
        ACCEPTED[0] += 1

        def run(conn: socket.socket = conn) -> None:
            try:
                serve(conn)
            except OSError:
                pass  # the client went away
            finally:
                conn.close()

        threading.Thread(target=run, daemon=True).start()


if __name__ == "__main__":
    main()
