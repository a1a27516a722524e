#!/usr/bin/env python3
"""From a SIGKILL to the first instruction of the next process: runit and daemontools, beside ours.

    cargo bench --no-run --bench processes && benches/peers/restart_after_kill.py BENCH_BINARY

Needs Debian's `runit` and `daemontools`, and `cc`; what is missing is left out. Not part of CI. Both
restart a process that lived less than a second only after a rest, so theirs live 1.2 s; ours is
measured by the bench itself, in the same minute.
"""
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

KILLS = 40
LIVES = 1.2
HERE = os.path.dirname(os.path.abspath(__file__))


def program(folder):
    out = os.path.join(folder, "first")
    source = os.path.join(HERE, "..", "processes", "first.c")
    flags = ["-O2", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector"]
    subprocess.run(["cc", *flags, "-o", out, source], check=True)
    return out


def spans(folder, first, name):
    """Kills the service of one supervisor again and again; milliseconds to each next beginning."""
    service = os.path.join(folder, name)
    os.mkdir(service)
    fifo = os.path.join(folder, name + ".fifo")
    os.mkfifo(fifo)
    run = os.path.join(service, "run")
    with open(run, "w") as script:
        script.write(f"#!/bin/sh\nexec {first} {fifo}\n")
    os.chmod(run, 0o755)
    stamps = os.open(fifo, os.O_RDWR)
    supervisor = subprocess.Popen([name, service], start_new_session=True)
    measured = []
    try:
        _, pid = struct.unpack("<QQ", os.read(stamps, 16))
        for _ in range(KILLS):
            time.sleep(LIVES)
            begun = time.monotonic_ns()
            os.kill(pid, signal.SIGKILL)
            at, pid = struct.unpack("<QQ", os.read(stamps, 16))
            measured.append((at - begun) / 1e6)
    finally:
        supervisor.kill()
        supervisor.wait()
        os.kill(pid, signal.SIGKILL)
        os.close(stamps)
    return sorted(measured)


def main():
    with tempfile.TemporaryDirectory() as folder:
        first = program(folder)
        for name in ("runsv", "supervise"):
            if not shutil.which(name):
                print(f"{name}: not installed, left out")
                continue
            all_of = spans(folder, first, name)
            p50, p99 = all_of[len(all_of) // 2], all_of[-1]
            print(f"{name}: p50 {p50:.2f} ms, worst of {KILLS} {p99:.2f} ms", flush=True)
    for bench in sys.argv[1:]:
        subprocess.run([bench, "--bench", "kill"], check=False)


if __name__ == "__main__":
    main()
