"""Of a traceback the frames of the handler are shown, and the first exception of a chain."""

from __future__ import annotations

from textwrap import dedent

import pytest

from async_durable_execution_runner.results.tracebacks import own_frames, pieces
from async_durable_execution_runner.worker import OUR_FOLDERS

SDK = "/venv/lib/python3.11/site-packages/async_durable_execution"
LAST_ATTEMPT = f"""\
    failed step
    Traceback (most recent call last):
      File "{SDK}/step.py", line 219, in execute
        raw_result = await self.func()
                     ^^^^^^^^^^^^^^^^^
      File "/app/flow.py", line 9, in charge
        return event["card"]
               ~~~~~^^^^^^^^
    KeyError: 'card'

    During handling of the above exception, another exception occurred:

    Traceback (most recent call last):
      File "{SDK}/execution.py", line 306, in _wrapper_async
        result = await user_func(input_event)
                 ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      File "/app/flow.py", line 10, in pay
        return await step(charge)
               ^^^^^^^^^^^^^^^^^^
      File "{SDK}/step.py", line 336, in retry_handler
        raise CallableRuntimeError.from_error_object(fail_error_object)
    CallableRuntimeError: 'card'
    bye
    """


def read(text: str) -> list[list[str]]:
    return list(pieces(dedent(text).splitlines()))


def test_the_frames_of_the_handler_are_left() -> None:
    chain = [
        "Traceback (most recent call last):",
        '  File "/app/flow.py", line 9, in charge',
        '    return event["card"]',
        "KeyError: 'card'",
        "During handling of the above exception, another exception occurred:",
        "Traceback (most recent call last):",
        '  File "/app/flow.py", line 10, in pay',
        "    return await step(charge)",
        "CallableRuntimeError: 'card'",
    ]
    assert read(LAST_ATTEMPT) == [["failed step"], chain, ["bye"]]


@pytest.mark.parametrize(
    "library",
    [
        "/usr/lib/python3.11/json/encoder.py",
        "/usr/lib/python3/dist-packages/requests/api.py",
        "<frozen importlib._bootstrap>",
        OUR_FOLDERS[0] + "invocation.py",
    ],
)
def test_frames_of_libraries_are_left_out(library: str) -> None:
    text = f"""\
        Traceback (most recent call last):
          File "/app/flow.py", line 9, in charge
          [Previous line repeated 3 more times]
          File "{library}", line 1, in dumps
        TypeError: no
        """
    lines = dedent(text).splitlines()
    assert list(pieces(lines)) == [[*lines[:3], lines[4]]]
    assert own_frames(lines[1:4]) == lines[1:3]


def test_the_innermost_frame_is_left_where_no_other_is_the_handlers() -> None:
    text = """\
        Traceback (most recent call last):
          File "/usr/lib/python3.11/json/__init__.py", line 238, in dumps
          File "/usr/lib/python3.11/json/encoder.py", line 180, in default
        TypeError: no
        """
    lines = dedent(text).splitlines()
    assert list(pieces(lines)) == [[lines[0], lines[2], lines[3]]]
    assert own_frames(lines[1:3]) == [lines[2]]


def test_a_traceback_without_frames_of_the_handler_has_no_heading_in_a_chain() -> None:
    """The message before the link may have several lines."""
    text = f"""\
        Traceback (most recent call last):
          File "{SDK}/serdes.py", line 344, in encode
        ValidationError: 1 error
        card
          Field required

        The above exception was the direct cause of the following exception:

        Traceback (most recent call last):
          File "/app/flow.py", line 10, in pay
        ExecutionError: cannot be serialized
        """
    lines = dedent(text).splitlines()
    assert list(pieces(lines)) == [[*lines[2:5], lines[6], *lines[8:]]]


def test_the_frames_in_an_exception_group_are_the_handlers() -> None:
    text = f"""\
      + Exception Group Traceback (most recent call last):
      |   File "/app/flow.py", line 9, in pay
      |     async with TaskGroup() as group:
      |   File "/usr/lib/python3.11/asyncio/taskgroups.py", line 145, in __aexit__
      |     raise me from None
      | ExceptionGroup: unhandled (1 sub-exception)
      +-+---------------- 1 ----------------
        | Traceback (most recent call last):
        |   File "{SDK}/step.py", line 5, in execute
        |   File "/app/flow.py", line 7, in charge
        | KeyError: 'card'
        +------------------------------------
    """
    lines = text.splitlines()
    left = [line for number, line in enumerate(lines) if number not in (3, 4, 8)]
    assert [line for piece in pieces(lines) for line in piece] == left


def test_what_a_fatal_signal_left_is_one_piece() -> None:
    lines = ["hi", "Fatal Python error: Segmentation fault", "", '  File "/app/flow.py", line 9']
    assert list(pieces(lines)) == [["hi"], lines[1:]]


def test_other_lines_stay_as_they_are() -> None:
    lines = ["", f'  File "{SDK}/step.py", line 9', "    return 1", "    ^^^", "at charge (a.js:1)"]
    assert list(pieces(lines)) == [[line] for line in lines]
    assert own_frames(lines) == lines
