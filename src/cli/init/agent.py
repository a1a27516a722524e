#!/usr/bin/env python3
"""An agent: one JSON object a line, in on stdin and out on stdout. stderr is its log.

Whether it speaks the protocol is told by: agent-system agents test -- python3 agent.py
"""
import json
import os
import sys


def send(**frame):
    print(json.dumps(frame), flush=True)


def work(payload):
    """What this agent is for. What it returns is the task's result; an exception is its error."""
    greeting = os.environ.get("GREETING", "Hello")
    return {"text": f"{greeting}, {payload.get('name', 'world')}!"}


def run(task):
    settled = {"task_id": task["id"], "lease_id": task["lease_id"]}
    try:
        output = work(task["payload"] or {})
    except Exception as error:  # the daemon tries again, unless `retryable` is false
        print(f"task {task['id']}: {error!r}", file=sys.stderr)
        return send(type="error", code="failed", message=str(error), retryable=True, **settled)
    send(type="result", output=output, **settled)


for line in sys.stdin:  # the end of input means: exit
    frame = json.loads(line)
    kind = frame["type"]
    if kind == "hello":
        send(type="ready", version="1")
    elif kind == "ping":
        send(type="pong", n=frame["n"])
    elif kind == "task":
        run(frame)
    elif kind == "shutdown":
        break
    # Whatever else comes is none of our business.
