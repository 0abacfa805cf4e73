"""Find a Chromium for the browser tests, or install one, saying what is done: `python -m tests.find_chromium`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """Path of a Chromium on this machine: on the PATH, or the one Playwright installed."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def main() -> None:
    """Print where Chromium is; install it by apt (as root) or by Playwright where there is none."""
    found = find_chromium()
    if found is None:
        for command in _installers():
            print(f"No Chromium found; installing one: {' '.join(command)}", flush=True)
            if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode == 0:
                found = find_chromium()
            if found is not None:
                break
    if found is None:
        sys.exit(
            "No Chromium was found and none could be installed; install the package chromium by hand, or run "
            f"`{sys.executable} -m playwright install --with-deps chromium`, then try again."
        )
    print(f"Browser tests use {found}.")


def _installers() -> list[list[str]]:
    commands = []
    if shutil.which("apt-get") and os.geteuid() == 0:
        commands += [["apt-get", "update", "-q"], ["apt-get", "install", "-y", "-q", "chromium"]]
    return [*commands, [sys.executable, "-m", "playwright", "install", "chromium"]]


if __name__ == "__main__":
    main()
