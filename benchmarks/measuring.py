"""What the benchmarks share: a program run from outside, its peak memory, and one flat JSON object at the end."""

import json
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import psutil


class PeakMemory:
    """Samples a process's resident memory every 50 ms; `peak` is the highest seen, in bytes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.peak = 0
        self._process = psutil.Process(process.pid)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._over = threading.Event()
        self._thread.start()

    def stop(self) -> int:
        """Stop sampling and return the peak."""
        self._over.set()
        self._thread.join()
        return self.peak

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            try:
                self.peak = max(self.peak, self._process.memory_info().rss)
            except psutil.NoSuchProcess:
                return


class OthersCpu:
    """How many cores other programs kept busy since this was made, on average."""

    def __init__(self) -> None:
        self._began, self._busy, self._own = time.monotonic(), _busy_seconds(), time.process_time()

    def cores(self) -> float:
        """Busy time of the whole machine, less this process's."""
        others = _busy_seconds() - self._busy - (time.process_time() - self._own)
        return others / (time.monotonic() - self._began)


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return times.user + times.system + times.nice + times.steal  # user counts guests as well


def own_memory() -> tuple[int, int]:
    """This process's resident memory now and at its peak, in bytes, as Linux counts them (`VmHWM`: no spike is missed,
    and none of the parent's is inherited, as `getrusage` does).
    """
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    now, peak = (1024 * int(lines[name].split()[0]) for name in ("VmRSS", "VmHWM"))
    return now, peak


def end_with_parent() -> None:
    """End this process, a worker of a pool, soon after the one that started it: else it would compute on for nobody."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


def tell(figures: dict[str, Any], *, as_json: bool) -> None:
    """Print figures as one JSON object or as lines."""
    if as_json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name}: {value:.2f}" if isinstance(value, float) else f"{name}: {value}")
