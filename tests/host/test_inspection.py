"""How workers that are stuck are looked at; what is made of their answers is `worker.stacks`'s."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from typing import Any

import pytest
from worker.test_stacks import OTHER, SLEEP, answer, thread

from async_durable_execution_runner.host import inspection
from async_durable_execution_runner.host.inspection import Inspection
from async_durable_execution_runner.worker import stacks


@pytest.mark.parametrize(
    ("computed", "waited", "busy"),
    [(0.0, 0.0, False), (0.1, 0.0, True), (0.01, 0.1, True), (0.001, 0.1, False)],
    ids=["idle", "computing", "computing on a busy machine", "idle on a busy machine"],
)
def test_who_computes_is_told_from_who_waits(computed: float, waited: float, busy: bool) -> None:
    assert (inspection._busy(0.15, computed, waited) > stacks._BUSY) is busy


# -- those that do not answer --------------------------------------------------------------


@pytest.fixture
def deaf() -> Any:
    """A process that would take the signal but blocks it."""
    number = stacks.SIGNAL
    code = (
        f"import signal, sys; signal.signal({number}, lambda *_: None);"
        f"signal.pthread_sigmask(signal.SIG_BLOCK, {{{number}}});"
        "print('ready', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.kill()


def test_one_that_blocks_the_signal_is_not_waited_for(
    deaf: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "_PATIENCE", 0.0)
    own, its = os.pipe()
    os.set_blocking(own, False)
    inspected = Inspection(deaf.pid, own, "r-1")
    assert not inspected.done
    inspected.pass_time()
    assert inspected.done
    assert inspected.why == (
        f"the worker did not answer in 0 s: it blocks signal {stacks.SIGNAL}, "
        "which asks for the stacks"
    )
    os.close(own)
    os.close(its)


def test_one_that_has_closed_its_end_is_not_waited_for(deaf: subprocess.Popen[bytes]) -> None:
    own, its = os.pipe()
    os.set_blocking(own, False)
    inspected = Inspection(deaf.pid, own, "r-1")
    os.close(its)
    assert select.select([own], [], [], 0)[0]
    inspected.read()
    assert (inspected.done, inspected.answers) == (True, [])
    assert inspected.why == "the worker closed the pipe for its stacks"
    os.close(own)


def test_one_that_is_stopped_is_not_sent_the_signal(deaf: subprocess.Popen[bytes]) -> None:
    deaf.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, deaf.pid, os.WSTOPPED)
    own, its = os.pipe()
    os.set_blocking(own, False)
    assert Inspection(deaf.pid, own, "r-1").why.startswith("the worker is stopped")
    os.close(own)
    os.close(its)


def test_what_came_too_late_for_one_is_not_taken_for_the_next(
    deaf: subprocess.Popen[bytes],
) -> None:
    own, its = os.pipe()
    os.set_blocking(own, False)
    os.write(its, answer(thread(SLEEP)).encode())
    inspected = Inspection(deaf.pid, own, "r-1")
    os.write(its, answer(thread(OTHER)).encode())
    inspected.read()
    assert [stacks.parse(each)[0].frames[0] for each in inspected.answers] == [OTHER]
    os.close(own)
    os.close(its)
