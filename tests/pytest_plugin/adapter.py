"""A client of a debugger, as an IDE is one: it speaks the Debug Adapter Protocol over a socket."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from typing import Any, Self

#: Seconds after which what should come counts as missing.
_LIMIT = 40


class Client:
    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), _LIMIT)
        self._stream = self._socket.makefile("rwb")
        self._number = 0
        self._events: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._socket.close()

    def attach(self, launch: dict[str, Any]) -> int:
        """Attach as a configuration of VS Code says, and return the thread that stops."""
        self.ask("initialize", adapterID="test", pathFormat="path")
        attached = self.say("attach", **launch)
        self.event("initialized")
        self.ask("configurationDone")
        self._answer(attached)
        return int(self.event("stopped")["threadId"])

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        return self._answer(self.say(command, **arguments))

    def let_go(self, command: str, **arguments: Any) -> None:
        """Say the last word. The process that hears it ends soon, perhaps before it answers."""
        self.say(command, **arguments)
        with suppress(ConnectionError):
            while self._stream.readline():
                pass

    def say(self, command: str, **arguments: Any) -> int:
        self._number += 1
        body = json.dumps(
            {
                "seq": self._number,
                "type": "request",
                "command": command,
                "arguments": arguments,
            }
        ).encode()
        self._stream.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._stream.flush()
        return self._number

    def event(self, name: str) -> dict[str, Any]:
        """The body of the first event of this name."""
        while True:
            for event in self._events:
                if event["event"] == name:
                    self._events.remove(event)
                    return dict(event.get("body", {}))
            self._read()

    def _answer(self, number: int) -> dict[str, Any]:
        while (message := self._read()).get("request_seq") != number:
            pass
        return dict(message.get("body", {}))

    def _read(self) -> dict[str, Any]:
        headers = b""
        while not headers.endswith(b"\r\n\r\n"):
            line = self._stream.readline()
            assert line, "The debugger has closed the connection."
            headers += line
        length = int(headers.split(b":")[1])
        message: dict[str, Any] = json.loads(self._stream.read(length))
        assert message.get("success", True), message
        if message["type"] == "event":
            self._events.append(message)
        return message
