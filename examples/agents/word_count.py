#!/usr/bin/env python3
"""Counts words for examples/workflows/word-count.toml, with the standard library alone.

Takes the payloads of the built-in actor `word_count` and gives the same results:
  {"op": "split", "file": ARTIFACT}     -> {"chunks": [ARTIFACT, ...]}
  {"op": "count", "chunk": ARTIFACT}    -> ARTIFACT with lines COUNT<TAB>WORD, sorted by word
  {"op": "merge", "counts": [ARTIFACT]} -> the twenty most frequent words, as such lines

An ARTIFACT is {"$artifact": "OWNER/FILE", "bytes": n, "sha256": hex}: the file OWNER/FILE below the
directory that `hello` names in config.artifacts. Files are written aside and renamed, under names
made from the task's id: a task that is run again writes the same names with the same bytes.

A word is a maximal run of bytes other than ASCII space, \\t, \\n, \\v, \\f, \\r.
"""
import collections
import contextlib
import hashlib
import heapq
import itertools
import json
import os
import re
import sys
import uuid

TOP = 20
MAX_TEXT = 64 * 1024
BUFFER = 64 * 1024
SEPARATOR = re.compile(rb"[ \t\n\v\f\r]")


def send(**frame):
    print(json.dumps(frame), flush=True)


class Desk:
    """Where one task reads and writes."""

    def __init__(self, root, task):
        self.root = root
        self.owner = task.get("workflow_id") or task["id"]
        self.task = task["id"]

    def read(self, artifact):
        path = os.path.join(self.root, artifact["$artifact"])
        size = os.path.getsize(path)
        if size != artifact["bytes"]:
            raise OSError(f"{path} holds {size} bytes, its reference says {artifact['bytes']}")
        return open(path, "rb")

    def write(self, suffix, pieces):
        """Writes a file aside, renames it, and gives its reference."""
        name = f"{self.owner}/{self.task}.{suffix}"
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        aside = os.path.join(os.path.dirname(path), f".{uuid.uuid4().hex}.tmp")
        digest, size = hashlib.sha256(), 0
        try:
            with open(aside, "xb") as file:
                for piece in pieces:
                    file.write(piece)
                    digest.update(piece)
                    size += len(piece)
                file.flush()
                os.fsync(file.fileno())
            os.rename(aside, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(aside)
            raise
        return {"$artifact": name, "bytes": size, "sha256": digest.hexdigest()}


def chunk_length(size):
    """Small files are cut too; a chunk is held in memory, so large ones are cut into more."""
    return max(min(max(size // 8, 1 << 10), 2 << 20), -(-size // 256))


def split(desk, payload):
    source = payload["file"]
    length = chunk_length(source["bytes"])
    chunks = []
    with desk.read(source) as file:
        while file.peek(1):
            suffix = f"chunk-{len(chunks):05}"
            chunks.append(desk.write(suffix, one_chunk(file, length)))
    return {"chunks": chunks}


def one_chunk(file, length):
    """At least so many bytes, and on to the next separator."""
    missing = length - 1
    while missing > 0:
        piece = file.read(min(missing, BUFFER))
        if not piece:
            return
        missing -= len(piece)
        yield piece
    while piece := file.peek(BUFFER):
        found = SEPARATOR.search(piece)
        yield file.read(found.end() if found else len(piece))
        if found:
            return


def count(desk, payload):
    with desk.read(payload["chunk"]) as file:
        words = collections.Counter(file.read().split())
    return desk.write("counts", (b"%d\t%s\n" % (words[word], word) for word in sorted(words)))


def merge(desk, payload):
    with contextlib.ExitStack() as files:
        sources = [counts(files.enter_context(desk.read(each))) for each in payload["counts"]]
        merged = itertools.groupby(heapq.merge(*sources), key=lambda pair: pair[0])
        totals = ((word, sum(times for _, times in group)) for word, group in merged)
        top = heapq.nsmallest(TOP, totals, key=lambda pair: (-pair[1], pair[0]))
    lines = b"".join(b"%d\t%s\n" % (times, word) for word, times in top)
    try:
        text = lines.decode()
    except UnicodeDecodeError:
        text = None
    if text is None or len(lines) > MAX_TEXT:
        return desk.write("top", [lines])
    return text


def counts(file):
    for line in file:
        times, word = line.rstrip(b"\n").split(b"\t", 1)
        yield word, int(times)


OPERATIONS = {"split": split, "count": count, "merge": merge}


def run(root, task):
    """Does one task; gives the frame that settles it."""
    settled = {"task_id": task["id"], "lease_id": task["lease_id"]}
    try:
        operation = OPERATIONS[task["payload"]["op"]]
        output = operation(Desk(root, task), task["payload"])
        return {"type": "result", "output": output, **settled}
    except (KeyError, TypeError, FileNotFoundError) as error:
        message, retryable = f"{type(error).__name__}: {error}", False
    except OSError as error:
        message, retryable = str(error), True
    return {"type": "error", "code": "failed", "message": message, "retryable": retryable, **settled}


def main():
    root = None
    for line in sys.stdin:  # the end of input means: exit
        frame = json.loads(line)
        if frame["type"] == "hello":
            root = frame["config"]["artifacts"]
            send(type="ready", version="1")
        elif frame["type"] == "ping":
            send(type="pong", n=frame["n"])
        elif frame["type"] == "task":
            send(**run(root, frame))
        elif frame["type"] == "shutdown":
            break


if __name__ == "__main__":
    main()
