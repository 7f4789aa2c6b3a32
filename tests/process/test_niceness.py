"""Others on the same processors come first."""

import os
import subprocess
import sys

import pytest

from backend.process.niceness import AUTOGROUP

CODE = """
import os, threading
from backend.process.niceness import AUTOGROUP, give_way, thread_gives_way
before = os.nice(0)
give_way(7)
def look():
    thread_gives_way(30)
    print(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
thread = threading.Thread(target=look)
thread.start()
thread.join()
print(os.nice(0) - before)
print(AUTOGROUP.read_text().split()[-1] if AUTOGROUP.exists() else "")
"""


@pytest.fixture(scope="module")
def printed():
    """What a process of a session of its own says after it gave way."""
    command = [sys.executable, "-c", CODE]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, start_new_session=True
    ).stdout.split()


def expected():
    """The niceness of that process; these tests may have one themselves."""
    return min(19, os.nice(0) + 7)


def test_a_process_gives_way_and_a_thread_of_it_more(printed):
    assert printed[:2] == ["19", str(expected() - os.nice(0))]


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="the system does not group by session")
def test_a_session_gives_way_to_other_sessions(printed):
    # Niceness alone counts among the processes of one session.
    assert printed[2] == str(expected())
