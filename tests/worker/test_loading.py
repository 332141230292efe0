"""Handlers on their way from the test process to a worker."""

from __future__ import annotations

import functools
import importlib.util
import json
import linecache
import os
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import aws_durable_execution_sdk_python as official
import pytest
from async_durable_execution import durable_callable, durable_execution

from async_durable_execution_runner.errors import HandlerNotLoadable
from async_durable_execution_runner.rpc.v1 import worker_pb2 as pb
from async_durable_execution_runner.worker import modules
from async_durable_execution_runner.worker.loading import bind, check, describe, is_durable, load

PROJECT = Path(__file__).parent / "import_modes"


def plain(event: Any, context: Any) -> Any:
    return ["plain", event]


@durable_execution
async def durable(event: Any) -> Any:
    return event


async def workflow(event: Any) -> Any:
    return event


bound_elsewhere = durable_execution(workflow)


def noisy(handler: Any) -> Any:
    @functools.wraps(handler)
    def noisy_handler(event: Any, context: Any, *, calls: list[str] = []) -> Any:  # noqa: B006
        calls.append("noisy")
        return handler(event, context)

    return noisy_handler


@noisy
@noisy
@durable_execution
async def twice_noisy(event: Any) -> Any:
    return event


class Orders:
    @staticmethod
    def handler(event: Any, context: Any) -> Any:
        return "static"


@durable_callable
async def for_steps(event: Any) -> Any:
    return event


@pytest.mark.parametrize(
    ("handler", "qualname"),
    [
        (plain, "plain"),
        (durable, "durable"),
        (twice_noisy, "twice_noisy"),
        (bound_elsewhere, "bound_elsewhere"),
        (Orders.handler, "Orders.handler"),
    ],
)
def test_what_a_module_has_goes_by_reference(handler: Any, qualname: str) -> None:
    code = describe(handler)
    assert code.reference.module == __name__
    assert code.reference.qualname == qualname
    assert code.reference.file == __file__
    assert all(os.path.isabs(entry) for entry in code.reference.import_path)
    assert load(code) is handler


@pytest.mark.parametrize(
    ("handler", "expected"),
    [(plain, False), (durable, True), (twice_noisy, True), (for_steps, False), (None, False)],
)
def test_a_durable_handler_is_known_below_its_decorators(handler: Any, expected: bool) -> None:
    assert is_durable(handler) is expected


def hiding(handler: Any) -> Any:
    parts = [handler]

    @functools.wraps(handler)
    def outer(event: Any, context: Any) -> Any:
        return parts[0](event, context)

    return outer


def unwrapping(handler: Any) -> Any:
    def outer(event: Any, context: Any) -> Any:
        return handler(event, context)

    return outer


async def yields(event: Any) -> Any:
    yield event


def yields_plainly(event: Any) -> Any:
    yield event


def one_event(event: Any) -> Any:
    return event


async def plain_coroutine(event: Any, context: Any) -> Any:
    return event


def passing_on(function: Any) -> Any:
    @functools.wraps(function)
    def passed_on(event: Any) -> Any:
        return function(event)

    return passed_on


class Callable:
    async def __call__(self, event: Any) -> Any:
        return event


@pytest.mark.parametrize(
    "function", [passing_on(workflow), Callable(), functools.partial(workflow)]
)
def test_what_is_awaited_all_the_same_is_taken(function: Any) -> None:
    functools.update_wrapper(function, workflow)
    assert check(durable_execution(function))


REFUSED = [
    (None, None, "Handler None is not callable"),
    ("handler", None, "Handler 'handler' is not callable"),
    (Orders, None, "test_loading.Orders is a class"),
    (functools.partial(plain, 1), None, "is an instance of partial, not a function"),
    (Orders().__str__, None, "is an instance of method-wrapper, not a function"),
    (durable_execution(), None, "is durable_execution(...) without a function"),
    (for_steps, None, "for_steps is decorated with @durable_callable"),
    (workflow, True, "workflow is an async function that is not decorated with @durable_exec"),
    (plain, True, "plain is a function that is not decorated with @durable_execution"),
    (unwrapping(durable), True, "a decorator above that one must use functools.wraps"),
    (durable, False, "durable is a durable function: register it as one"),
    (hiding(durable), None, "has a decorator above @durable_execution that does not keep"),
    (
        durable_execution(yields),
        None,
        "yields is an async generator, and the SDK awaits the handler",
    ),
    (
        durable_execution(yields_plainly),
        None,
        "is a generator, and the SDK awaits the handler: return",
    ),
    (
        durable_execution(one_event),
        None,
        "is a plain function, and the SDK awaits the handler: define",
    ),
    (official.durable_execution(plain_coroutine), None, "is an async function, and the SDK calls"),
    (workflow, False, "takes (event: 'Any') -> 'Any', but Lambda calls a handler with (event, con"),
]


@pytest.mark.parametrize(("handler", "as_durable", "reason"), REFUSED)
def test_what_is_no_handler_is_refused_in_one_sentence(
    handler: Any, as_durable: bool | None, reason: str
) -> None:
    with pytest.raises(HandlerNotLoadable) as raised:
        describe(handler, durable=as_durable)
    message = str(raised.value)
    assert reason in message
    assert message.startswith("Handler ")
    assert "\n" not in message


def test_an_sdk_is_imported_beforehand_unless_the_handler_s_folder_has_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = official.durable_execution(plain)
    assert describe(handler).sdk == "official"
    copy = tmp_path / official.__name__
    copy.mkdir()
    (copy / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert describe(handler).sdk == ""


def test_what_cannot_be_pickled_names_handler_reason_and_remedies() -> None:
    lock = threading.Lock()

    def handler(event: Any, context: Any) -> Any:
        with lock:
            return event

    with pytest.raises(HandlerNotLoadable) as raised:
        describe(handler)
    message = str(raised.value)
    assert "<locals>.handler cannot be sent to a worker" in message
    assert "cannot pickle '_thread.lock' object" in message
    assert "move it to module level" in message
    assert 'isolation="inline"' in message


def test_a_missing_name_is_told() -> None:
    code = describe(plain)
    code.reference.qualname = "gone"
    with pytest.raises(HandlerNotLoadable, match="Handler 'gone' missing on module"):
        load(code)


class Client:
    """A service client that keeps nothing and answers nothing new."""

    async def checkpoint(self, **_: Any) -> Any:
        raise AssertionError("these handlers checkpoint nothing")

    get_execution_state = checkpoint


def invoke(handler: Any, payload: str = '"in"') -> Any:
    execution = {
        "Id": "e-1",
        "Type": "EXECUTION",
        "Status": "STARTED",
        "StartTimestamp": 1,
        "ExecutionDetails": {"InputPayload": payload},
    }
    event = {
        "DurableExecutionArn": "arn/e-1",
        "CheckpointToken": "t",
        "InitialExecutionState": {"Operations": [execution], "NextMarker": ""},
    }
    return handler(event, None)


def test_a_bound_handler_runs_the_users_function() -> None:
    assert invoke(bind(durable, Client())) == {"Status": "SUCCEEDED", "Result": '"in"'}


def test_binding_keeps_the_decorators_above() -> None:
    bound = bind(twice_noisy, Client())
    assert invoke(bound) == {"Status": "SUCCEEDED", "Result": '"in"'}
    assert (bound.__name__, bound.__module__) == ("twice_noisy", __name__)
    calls = bound.__kwdefaults__["calls"]
    assert calls == ["noisy"]
    assert bound.__wrapped__.__kwdefaults__["calls"] == ["noisy"]  # type: ignore[attr-defined]


def test_binding_leaves_the_original_alone() -> None:
    bind(durable, Client())
    assert durable is load(describe(durable))


LOADER = """
import json, sys
from async_durable_execution_runner.rpc.v1 import worker_pb2 as pb
from async_durable_execution_runner.worker import loading
sys.path.insert(0, sys.argv[1])
from test_loading import Client, invoke
for path in sys.argv[2:]:
    handler = loading.load(pb.FunctionCode.FromString(open(path, "rb").read()))
    if loading.is_durable(handler):
        result = invoke(loading.bind(handler, Client()))
    else:
        result = handler("in", None)
    print(json.dumps(result))
"""


def load_in_new_process(*codes: Path) -> list[Any]:
    """What the handlers return in a process that knows nothing of the client's imports."""
    here = str(Path(__file__).parent)
    command = [sys.executable, "-P", "-c", LOADER, here, *map(str, codes)]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=60)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.processes
@pytest.mark.parametrize("mode", ["prepend", "append", "importlib"])
def test_handlers_of_test_modules_load_under_every_import_mode(mode: str, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--rootdir={PROJECT}",
    ]
    command += [f"--import-mode={mode}", str(PROJECT)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "CODES": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    codes = sorted(tmp_path.glob("*.code"))
    expected = {
        "closure": ["closure of alone", "in"],
        "durable": {"Status": "SUCCEEDED", "Result": '["durable, relative", "in"]'},
        "plain": ["alone", "in"],
        "relative": ["relative", "in"],
    }
    loaded = dict(zip([code.stem for code in codes], load_in_new_process(*codes), strict=True))
    assert loaded == expected


MAIN = """
import functools, sys
from async_durable_execution import durable_execution
from async_durable_execution_runner.worker.loading import describe

PREFIX = "main"

class Shout:
    def __call__(self, text):
        return text.upper()

def closure(prefix):
    shout = Shout()
    def handler(event, context):
        return [shout(prefix), PREFIX, event]
    return handler

@durable_execution
async def durable(event):
    return [PREFIX, event, durable.__name__]

def other_durable():
    return durable

def decorated(handler):
    @functools.wraps(handler)
    def decorator(event, context):
        return [PREFIX, handler(event, context)["Status"]]
    return decorator

handlers = {
    "a": closure("c"),
    "b": durable,
    "c": lambda e, c: ["lambda", e],
    "d": decorated(durable),
}
for name, handler in handlers.items():
    with open(sys.argv[1] + "/" + name, "wb") as file:
        code = describe(handler)
        assert code.HasField("pickled")
        file.write(code.SerializeToString())
"""


@pytest.mark.processes
def test_handlers_of_a_script_go_by_value(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(MAIN)
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, timeout=60)
    script.unlink()
    assert load_in_new_process(*(tmp_path / name for name in "abcd")) == [
        ["C", "main", "in"],
        {"Status": "SUCCEEDED", "Result": '["main", "in", "durable"]'},
        ["lambda", "in"],
        ["main", "SUCCEEDED"],
    ]


def import_from(file: Path, name: str) -> Any:
    """Import as a test does that loads a file by hand."""
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_two_files_under_one_name_are_told_apart(tmp_path: Path) -> None:
    codes = []
    for number in (1, 2):
        file = tmp_path / str(number) / "lambda_function.py"
        file.parent.mkdir()
        file.write_text(f"def handler(event, context): return {number}")
        codes.append(describe(import_from(file, "lambda_function").handler))
    try:
        results = [load(code)(None, None) for code in (*codes, codes[0])]
    finally:
        del sys.modules["lambda_function"]
    assert results == [1, 2, 1]


PACKAGE = """
import sys
from async_durable_execution_runner.rpc.v1 import worker_pb2 as pb
from async_durable_execution_runner.worker.loading import load
for number in sys.argv[1:]:
    code = pb.ModuleReference(
        module="shop.orders", file=f"{number}/shop/orders.py", qualname="handler"
    )
    print(load(pb.FunctionCode(reference=code))(None, None))
"""


@pytest.mark.processes
def test_two_packages_under_one_name_are_told_apart(tmp_path: Path) -> None:
    for number in "12":
        package = tmp_path / number / "shop"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(f"NUMBER = {number}")
        (package / "prices.py").write_text(f"PRICE = {number}")
        (package / "orders.py").write_text(
            "from . import NUMBER\nfrom .prices import PRICE\n"
            "def handler(event, context): return NUMBER, PRICE"
        )
    loads = [sys.executable, "-c", PACKAGE, *"121"]
    done = subprocess.run(loads, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.stdout.splitlines() == ["(1, 1)", "(2, 2)", "(1, 1)"], done.stderr


def test_where_its_file_is_not_a_module_goes_by_its_name() -> None:
    reference = pb.ModuleReference(module="operator", file="/nowhere/operator.py", qualname="add")
    assert load(pb.FunctionCode(reference=reference))(40, 2) == 42


def test_the_clients_import_path_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["/mine", "/shared"])
    modules.extend_import_path(["/client", "/shared"])
    assert sys.path == ["/client", "/shared", "/mine"]


def test_a_file_that_changed_is_imported_again(tmp_path: Path) -> None:
    file = tmp_path / "rewritten.py"
    file.write_text("def handler(event, context): return 1")
    code = describe(import_from(file, "rewritten").handler)
    try:
        assert load(code)(None, None) == 1
        file.write_text("def handler(event, context): return 'longer'")
        assert load(code)(None, None) == "longer"
    finally:
        del sys.modules["rewritten"]


def test_a_module_without_a_file_goes_by_value() -> None:
    module = import_from(PROJECT / "alone" / "test_alone.py", "made_up")
    del module.__file__
    try:
        code = describe(module.plain)
    finally:
        del sys.modules["made_up"]
    assert code.HasField("pickled")
    assert load(code)("in", None) == ["alone", "in"]


CELL = """
def handler(event, context):
    def inner():
        return 1 / event

    return inner()
"""


def test_source_lines_travel_with_code_that_goes_by_value() -> None:
    """A notebook's cell, as a script on another machine, is no file where the worker looks."""
    name = "/notebook/cell-1"
    lines = CELL.splitlines(keepends=True)
    linecache.cache[name] = len(CELL), None, lines, name
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(CELL, name, "exec"), scope)
    try:
        code = describe(scope["handler"])
        linecache.cache.clear()
        with pytest.raises(ZeroDivisionError) as raised:
            load(code)(0, None)
        linecache.checkcache()
        frames = traceback.extract_tb(raised.value.__traceback__)[-2:]
    finally:
        linecache.cache.pop(name, None)
    assert [(each.filename, each.lineno, each.line) for each in frames] == [
        (name, 6, "return inner()"),
        (name, 4, "return 1 / event"),
    ]


def test_code_without_source_keeps_its_place() -> None:
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(CELL, "<stdin>", "exec"), scope)
    assert load(describe(scope["handler"])).__code__.co_filename == "<stdin>"


def test_code_travels_as_one_message() -> None:
    code = pb.FunctionCode.FromString(describe(plain).SerializeToString())
    assert load(code) is plain
