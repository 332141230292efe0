"""SAM and CloudFormation templates as a source of functions: `AWS::Serverless::Function` and
`AWS::Lambda::Function`, with the intrinsic functions that stand in the properties of these.

A value that cannot be known here (the id of a bucket, an attribute of a table) becomes a name in
angle brackets, as in "<Orders.Arn>", which shows where the value is used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ..core.model import Place
from ..errors import InvalidConfiguration
from .functions_file import FunctionConfig, checked

_PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackName": "local",
    "AWS::StackId": "local",
}
_SERVERLESS = "AWS::Serverless::Function"
_LAMBDA = "AWS::Lambda::Function"
_NO_VALUE = object()
#: How many values a template may have: each takes 0.02 ms to read, and what CloudFormation takes
#: has fewer, as people and tools write it.
_MOST_VALUES = 50_000
#: How many values and characters a template may stand for, once its aliases and intrinsic functions
#: are carried out; CloudFormation takes templates of a million bytes.
_MOST = 300_000


class _Loader(yaml.SafeLoader):
    """YAML with the short forms of intrinsic functions, and with an end."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._values = getattr(self, "_values", 0) + 1
        if self._values > _MOST_VALUES:
            raise InvalidConfiguration(f"{self.name} has more than {_MOST_VALUES:,} values.")
        return super().compose_node(parent, index)


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


def read(path: Path, place: Place) -> list[FunctionConfig]:
    """The functions of a template (YAML or JSON), as they are in a place; `InvalidConfiguration`
    says what is wrong."""
    try:
        loader = _Loader(path.read_text())
        loader.name = str(path)
        template = loader.get_single_data()
    except OSError as error:
        raise InvalidConfiguration(f"{path} cannot be read: {error.strerror}.") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" (at line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise InvalidConfiguration(f"{path} is not YAML: {error.problem}{where}.") from None
    except (yaml.YAMLError, ValueError) as error:
        text = " ".join(str(error).split())
        raise InvalidConfiguration(f"{path} is not YAML: {text}.") from None
    except RecursionError:
        raise InvalidConfiguration(f"{path} is nested too deeply.") from None
    try:
        return _functions(path, template, place)
    except RecursionError:
        raise InvalidConfiguration(
            f"{path} is nested too deeply, or something in it refers to itself (an alias, a "
            "condition, or a function's name)."
        ) from None
    except (TypeError, ValueError, AttributeError, LookupError, OverflowError) as error:
        raise InvalidConfiguration(
            f"{path} is not a template: {type(error).__name__}: {error!s:.200}."
        ) from None


def _functions(path: Path, template: Any, place: Place) -> list[FunctionConfig]:
    resources = template.get("Resources") if isinstance(template, dict) else None
    if not isinstance(resources, dict):
        raise InvalidConfiguration(f"{path} is not a template: it has no Resources.")
    stack = _Stack(template, place)
    functions = [
        _function(path, stack, logical_id, resource)
        for logical_id, resource in resources.items()
        if isinstance(resource, dict)
        and resource.get("Type") in (_SERVERLESS, _LAMBDA)
        and stack.is_wanted(resource)
    ]
    if not functions:
        raise InvalidConfiguration(f"{path} has no {_SERVERLESS} and no {_LAMBDA}.")
    return functions


def _function(
    path: Path, stack: _Stack, logical_id: str, resource: Mapping[str, Any]
) -> FunctionConfig:
    where = f"{path}, {logical_id}"
    given = stack.resolve(resource.get("Properties") or {})
    if resource["Type"] == _SERVERLESS:
        given = _over(stack.function_globals, given)
    if given.get("PackageType") == "Image" or "InlineCode" in given:
        raise InvalidConfiguration(f"{where}: only functions with code in a folder can be served.")
    if not isinstance(given.get("Handler"), str):
        raise InvalidConfiguration(f"{where}: it has no Handler.")
    code = given.get("CodeUri" if resource["Type"] == _SERVERLESS else "Code", ".")
    if not isinstance(code, str):
        raise InvalidConfiguration(f"{where}: its code must be a folder, not {code!r:.100}.")
    durable = given.get("DurableConfig") or {}
    variables = (given.get("Environment") or {}).get("Variables") or {}
    alias = given.get("AutoPublishAlias")
    try:
        config = FunctionConfig(
            name=str(given.get("FunctionName") or logical_id),
            handler=given["Handler"],
            code=path.parent / code,
            timeout=float(given.get("Timeout", 3)),
            memory=int(given.get("MemorySize", 128)),
            execution_timeout=_number(durable.get("ExecutionTimeout")),
            retention_days=_number(durable.get("RetentionPeriodInDays")),
            environment={name: _text(value) for name, value in variables.items()},
            log_format=(given.get("LoggingConfig") or {}).get("LogFormat"),
            aliases=(str(alias),) if alias else (),
        )
    except OverflowError:
        raise InvalidConfiguration(f"{where}: one of its numbers is too large.") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise InvalidConfiguration(f"{where}: {error}.") from None
    return checked(where, config)


def _number(value: Any) -> int | None:
    return None if value is None else int(value)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _over(base: Any, own: Any) -> Any:
    """A function's own properties over SAM's globals: tables are merged, all else is replaced."""
    if isinstance(base, dict) and isinstance(own, dict):
        return {key: _over(base.get(key), own.get(key, base.get(key))) for key in {**base, **own}}
    return own


class _Stack:
    """What intrinsic functions refer to."""

    def __init__(self, template: Mapping[str, Any], place: Place) -> None:
        self._left = _MOST
        self._place = place
        self._pseudo = {
            **_PSEUDO,
            "AWS::Region": place.region,
            "AWS::AccountId": place.account,
        }
        self._parameters = {
            name: str(parameter["Default"])
            for name, parameter in (template.get("Parameters") or {}).items()
            if isinstance(parameter, dict)
            and isinstance(parameter.get("Default"), str | int | float)
        }
        self._mappings = template.get("Mappings") or {}
        self._conditions = template.get("Conditions") or {}
        self._resources = template.get("Resources") or {}
        shared = (template.get("Globals") or {}).get("Function") or {}
        self.function_globals = self.resolve(shared)

    def is_wanted(self, resource: Mapping[str, Any]) -> bool:
        condition = resource.get("Condition")
        return condition is None or self._holds(condition)

    def resolve(self, value: Any) -> Any:
        """`value` with all intrinsic functions in it carried out."""
        self._spend(1)
        if isinstance(value, list):
            resolved = [self.resolve(each) for each in value]
            return [each for each in resolved if each is not _NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            name, argument = next(iter(value.items()))
            if name in ("Ref", "Condition") or str(name).startswith("Fn::"):
                return self._intrinsic(name, argument)
        items = {key: self.resolve(each) for key, each in value.items()}
        return {key: each for key, each in items.items() if each is not _NO_VALUE}

    def _intrinsic(self, name: str, argument: Any) -> Any:
        match name, argument:
            case "Ref", str():
                return self._ref(argument)
            case "Fn::GetAtt", [str(resource), str(attribute)]:
                return self._attribute(resource, attribute)
            case "Fn::Sub", str():
                return self._substitute(argument, {})
            case "Fn::Sub", [str(text), dict(variables)]:
                return self._substitute(text, self.resolve(variables))
            case "Fn::Join", [str(separator), parts]:
                texts = [_text(each) for each in self.resolve(parts)]
                self._spend(sum(len(each) + len(separator) for each in texts))
                return separator.join(texts)
            case "Fn::Split", [str(separator), text]:
                return _text(self.resolve(text)).split(separator)
            case "Fn::Select", [index, values]:
                return self.resolve(values)[int(self.resolve(index))]
            case "Fn::FindInMap", [table, first, second]:
                keys = self.resolve([table, first, second])
                return self.resolve(self._mappings[keys[0]][keys[1]][keys[2]])
            case "Fn::If", [str(condition), yes, no]:
                return self.resolve(yes if self._holds(condition) else no)
            case (("Condition" | "Fn::Equals" | "Fn::And" | "Fn::Or" | "Fn::Not"), _):
                return self._is_true({name: argument})
            case _:
                return f"<{name.removeprefix('Fn::')}>"

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _NO_VALUE
        resource = self._resources.get(name)
        if isinstance(resource, dict) and resource.get("Type") in (_SERVERLESS, _LAMBDA):
            return self._name_of(name, resource)
        return {**self._pseudo, **self._parameters}.get(name, f"<{name}>")

    def _attribute(self, name: str, attribute: str) -> str:
        resource = self._resources.get(name)
        if (
            attribute == "Arn"
            and isinstance(resource, dict)
            and resource.get("Type") in (_SERVERLESS, _LAMBDA)
        ):
            return self._place.arn(self._name_of(name, resource))
        return f"<{name}.{attribute}>"

    def _name_of(self, logical_id: str, resource: Mapping[str, Any]) -> str:
        given = (resource.get("Properties") or {}).get("FunctionName")
        return str(self.resolve(given)) if given else logical_id

    def _spend(self, amount: int) -> None:
        self._left -= amount
        if self._left < 0:
            raise InvalidConfiguration(
                f"The template stands for more than {_MOST:,} values and characters."
            )

    def _substitute(self, text: str, variables: Mapping[str, Any]) -> str:
        def value(match: re.Match[str]) -> str:
            found = substitute(match)
            self._spend(len(found))
            return found

        def substitute(match: re.Match[str]) -> str:
            name = match[1]
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in variables:
                return _text(variables[name])
            resource, dot, attribute = name.partition(".")
            return _text(self._attribute(resource, attribute) if dot else self._ref(name))

        return re.sub(r"\$\{([^}]+)\}", value, text)

    def _holds(self, condition: str) -> bool:
        return self._is_true(self._conditions.get(condition, False))

    def _is_true(self, condition: Any) -> bool:
        self._spend(1)
        match condition:
            case {"Condition": str(name)}:
                return self._holds(name)
            case {"Fn::Equals": [left, right]}:
                return _text(self.resolve(left)) == _text(self.resolve(right))
            case {"Fn::And": list(parts)}:
                return all(map(self._is_true, parts))
            case {"Fn::Or": list(parts)}:
                return any(map(self._is_true, parts))
            case {"Fn::Not": [part]}:
                return not self._is_true(part)
            case _:
                return bool(condition)
