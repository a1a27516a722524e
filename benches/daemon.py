#!/usr/bin/env python3
"""What the whole daemon costs: from its start to ready, its memory, its idle processor time.

    cargo build --release && benches/daemon.py [--idle SECONDS] [--starts N]

Ten actor agents and ten process agents, a throw-away data directory, free ports. Prints each figure
beside its limit. Everything started here is ended here.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

BINARY = os.path.join(os.path.dirname(__file__), "..", "target", "release", "agent-system")


def config(folder):
    """Ten of each kind."""
    path = os.path.join(folder, "twenty.toml")
    with open(path, "w") as file:
        for index in range(10):
            file.write(f'[agents.a{index}]\nkind = "actor"\nactor = "word_count"\n')
            file.write(f'[agents.p{index}]\nkind = "process"\n')
            file.write('command = ["agent-system", "sample-agent", "echo"]\n')
    return path


def start(folder, name):
    """A ready daemon, and the milliseconds that took."""
    data = os.path.join(folder, name)
    begun = time.monotonic()
    process = subprocess.Popen(
        [BINARY, "serve", "--config", config(folder), "--data-dir", data, "--port", "0",
         "--metrics-port", "0", "--log-level", "WARNING"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    about = os.path.join(data, "daemon.json")
    while time.monotonic() - begun < 20:
        try:
            with open(about) as file:
                api = json.load(file)["api"]
            urllib.request.urlopen(f"http://{api}/readyz", timeout=1).close()
            return process, (time.monotonic() - begun) * 1000
        except (OSError, ValueError, urllib.error.URLError):
            time.sleep(0.001)
    process.kill()
    raise SystemExit("not ready within 20 s")


def memory(pid):
    """Resident memory of one process, MiB."""
    with open(f"/proc/{pid}/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    return {key: int(fields[key].split()[0]) / 1024 for key in ("VmRSS", "RssAnon")}


def ticks(pid):
    """Processor time of one process, seconds."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def stop(process):
    """Ends a daemon, which must succeed."""
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0, "the daemon did not end well"


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--idle", type=float, default=300, help="seconds to watch it idle")
    options.add_argument("--starts", type=int, default=10, help="starts to time")
    options = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        took = []
        for index in range(options.starts):
            process, milliseconds = start(folder, f"start{index}")
            took.append(milliseconds)
            stop(process)
        print(f"start to ready: median {statistics.median(took):.0f} ms, "
              f"worst {max(took):.0f} ms of {len(took)} (limit 300 ms)")
        process, _ = start(folder, "idle")
        time.sleep(5)
        before, begun = ticks(process.pid), time.monotonic()
        time.sleep(options.idle)
        share = (ticks(process.pid) - before) / (time.monotonic() - begun)
        figures = memory(process.pid)
        stop(process)
        print(f"resident: {figures['VmRSS']:.1f} MiB, of it anonymous {figures['RssAnon']:.1f} MiB "
              "(limit 25 MiB)")
        print(f"idle for {options.idle:.0f} s: {share * 100:.3f} % of a core (limit 0.5 %)")


main()
