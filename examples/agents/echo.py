#!/usr/bin/env python3
"""The smallest agent: gives each payload back. One JSON object a line, in and out."""
import json
import sys


def send(**frame):
    print(json.dumps(frame), flush=True)


for line in sys.stdin:  # the end of input means: exit
    frame = json.loads(line)
    if frame["type"] == "hello":
        send(type="ready")
    elif frame["type"] == "ping":
        send(type="pong", n=frame["n"])
    elif frame["type"] == "task":
        send(type="result", task_id=frame["id"], lease_id=frame["lease_id"], output=frame["payload"])
    elif frame["type"] == "shutdown":
        break
