"""The Lambda API as botocore's service model describes it: operations, their routes, errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from botocore.loaders import Loader
from botocore.model import ServiceModel

Shape = Any
"""A `botocore.model.Shape`; botocore ships no types."""


@dataclass(frozen=True, slots=True)
class ApiOperation:
    """An operation of the service, with the parts of its model that the gateway needs."""

    name: str
    #: The HTTP status of a success.
    status: int
    input: Shape | None
    output: Shape | None
    #: The codes of the errors that the operation may end in.
    errors: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Route:
    #: The parts of the path, with None in the place of each label.
    parts: tuple[str | None, ...]
    labels: tuple[str, ...]
    operation: ApiOperation

    def match(self, parts: list[str]) -> dict[str, str] | None:
        values = []
        for wanted, part in zip(self.parts, parts, strict=True):
            if wanted is None:
                values.append(unquote(part))
            elif wanted != part:
                return None
        return dict(zip(self.labels, values, strict=True))


class Api:
    """Every operation of the service, whether the gateway offers it or not."""

    def __init__(self) -> None:
        self.model = ServiceModel(Loader().load_service_model("lambda", "service-2"), "lambda")
        self.operations: dict[str, ApiOperation] = {}
        self._routes: dict[tuple[str, int], list[_Route]] = {}
        for name in self.model.operation_names:
            self._add(self.model.operation_model(name))
        for routes in self._routes.values():
            # A path that is spelt out goes before one with a label.
            routes.sort(key=lambda route: len(route.labels))

    def _add(self, model: Any) -> None:
        operation = ApiOperation(
            name=model.name,
            status=int(model.http.get("responseCode", 200)),
            input=model.input_shape,
            output=model.output_shape,
            errors=frozenset(shape.error_code for shape in model.error_shapes),
        )
        self.operations[model.name] = operation
        path, _, query = model.http["requestUri"].partition("?")
        if query:
            # Only a fixed query tells this operation from another with the same path. There is one
            # such operation of layers, and none of functions.
            return
        parts = list(_parts(path))
        route = _Route(
            tuple(None if part.startswith("{") else part for part in parts),
            tuple(part.strip("{}+") for part in parts if part.startswith("{")),
            operation,
        )
        self._routes.setdefault((model.http["method"], len(parts)), []).append(route)

    def find(self, method: str, raw_path: str) -> tuple[ApiOperation, dict[str, str]] | None:
        """Find the operation that a request asks for, and the values of its path's labels."""
        parts = list(_parts(raw_path))
        for route in self._routes.get((method, len(parts)), ()):
            labels = route.match(parts)
            if labels is not None:
                return route.operation, labels
        return None

    def error_shape(self, code: str) -> Shape | None:
        return self.model.shape_for_error_code(code)


def _parts(path: str) -> Iterator[str]:
    yield from path.removesuffix("/").split("/")[1:]


API = Api()
