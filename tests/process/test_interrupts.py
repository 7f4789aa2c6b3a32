"""A command that is told to end cleans up, however often it is told."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND = """
import time
from backend.process.interrupts import interrupt_once
interrupt_once()
try:
    print("ready", flush=True)
    time.sleep(600)
except KeyboardInterrupt:
    print("cleaning up", flush=True)
    for _ in range(20):
        time.sleep(0.02)
    print("clean", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_command_cleans_up_when_it_is_told_to_end_many_times(number):
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as command:
        assert command.stdout.readline() == "ready\n"
        command.send_signal(number)
        assert command.stdout.readline() == "cleaning up\n"
        for _ in range(3):
            command.send_signal(number)
        assert command.stdout.read() == "clean\n"
    assert command.returncode == 0
