"""`durable-runner diff`: where two histories of one function part.

Whatever differs from run to run and from place to place is taken out first: operations are called
by their names and places instead of ids, times and stack traces are left out, and the ids of
callbacks, requests and executions are numbered, inside payloads too.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from ..aws.api import BlockingClock, LambdaApi, make_client
from ..client.drive import drive
from ..core.shapes import Json
from ..core.text import visible
from ..errors import InvalidParameterValue
from . import execution_names
from .arguments import REGION_AND_ENDPOINT

#: How many lines are shown around those that differ, and at how many places.
_CONTEXT = 3
_SHOWN_PLACES = 5
_ARN = re.compile(r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:")
_EXECUTION = re.compile(r":[^:/\s]+/durable-execution/[^/\s]+/[\w-]+")
#: Members that only tell two runs apart. A version is that of the deployment.
_LEFT_OUT = {"StackTrace", "ExecutedVersion"}


def run(first: str, second: str, endpoint: str | None, region: str | None, write: Writer) -> int:
    """Compare two histories and write where they part.

    Args:
        first, second: Each is a file, or an execution's ARN.
        endpoint: The URL at which executions are asked for; by default that of the AWS CLI.
        region: The region of that endpoint; by default the ARN's own.
        write: What the differences are written with.

    Returns:
        0 if the histories are the same, 1 if not.

    Raises:
        RunnerError: One of them is not a history or cannot be fetched.
    """
    one, other = (normalized(read(source, endpoint, region)) for source in (first, second))
    if one == other:
        write(f"The same, {len(one)} events.\n")
        return 0
    write(f"--- {first}\n+++ {second}\n")
    for line in _difference(one, other):
        write(f"{visible(line)}\n")
    return 1


Writer = Callable[[str], object]


def read(source: str, endpoint: str | None, region: str | None) -> list[Json]:
    """The events of a history, in order."""
    named = execution_names.NAMED.fullmatch(source) and not Path(source).exists()
    if source.startswith("arn:") or named:
        arn = execution_names.repaired(source)
        if not named and not (_EXECUTION.search(arn) and _ARN.match(arn)):
            raise InvalidParameterValue(f"{source} is not the ARN of an execution.")
        of_arn = source.split(":")[3] if source.startswith("arn:") else None
        client = make_client(region or of_arn, endpoint, options=REGION_AND_ENDPOINT)
        arn = execution_names.arn_of(source, client)
        return list(drive(LambdaApi(client, BlockingClock()).history(arn)))
    try:
        document = json.loads(Path(source).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidParameterValue(f"{source} cannot be read: {error}.") from None
    events = document.get("Events") if isinstance(document, dict) else None
    if not isinstance(events, list) or not all(
        isinstance(event, dict) and isinstance(event.get("EventType"), str) for event in events
    ):
        raise InvalidParameterValue(
            f"{source} is not what `aws lambda get-durable-execution-history` prints."
        )
    if document.get("NextMarker") or document.get("NextToken"):
        raise InvalidParameterValue(f"{source} holds only a part of its history: fetch all pages.")
    return events if _in_order(events) else events[::-1]


def _in_order(events: Sequence[Json]) -> bool:
    return len(events) < 2 or events[0].get("EventId", 0) < events[-1].get("EventId", 1)


def normalized(events: Sequence[Json]) -> list[str]:
    """A line for each event. Two lines are equal if their events mean the same."""
    paths = _paths(events)
    ids = _numbered(events)
    return [_line(event, paths, ids) for event in events]


def _paths(events: Sequence[Json]) -> dict[str, str]:
    """Where each operation is: "ship/post-p1", "step 2" for one without a name."""
    paths: dict[str, str] = {}
    places: Counter[tuple[str, str]] = Counter()
    for event in events:
        key = event.get("Id")
        if key is None or key in paths:
            continue
        if event["EventType"].startswith("Execution"):
            # The name of an execution is that of one run.
            paths[key] = ""
            continue
        parent = paths.get(event.get("ParentId") or "", "")
        label = event.get("Name") or event.get("SubType") or _kind(event)
        places[parent, label] += 1
        place = places[parent, label]
        # The first operation of a name has no number, so that a second one does not rename it.
        own = label if place == 1 else f"{label} {place}"
        paths[key] = f"{parent}/{own}" if parent else own
    return paths


def _kind(event: Json) -> str:
    return re.sub(r"(Started|Succeeded|Failed|TimedOut|Stopped|Cancelled)$", "", event["EventType"])


def _numbered(events: Sequence[Json]) -> dict[str, str]:
    """What stands for each id that the run made up."""
    ids: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for event in events:
        details = event.get(f"{event['EventType']}Details") or {}
        for member in ("CallbackId", "RequestId", "DurableExecutionArn"):
            value = details.get(member)
            if value and value not in ids:
                counts[member] += 1
                ids[value] = f"<{member} {counts[member]}>"
    return ids


def _line(event: Json, paths: Mapping[str, str], ids: Mapping[str, str]) -> str:
    kind = event["EventType"]
    details = dict(_plain(event.get(f"{kind}Details") or {}, ids))
    parts = [kind, paths.get(event.get("Id") or "", "")]
    if (sub_type := event.get("SubType")) and sub_type != _kind(event):
        parts.append(f"({sub_type})")
    if details:
        parts.append(json.dumps(details, ensure_ascii=False, sort_keys=True))
    return " ".join(filter(None, parts))


def _plain(shape: Mapping[str, Any], ids: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    for member, value in shape.items():
        if member in _LEFT_OUT or member.endswith("Timestamp") or value is None:
            continue
        if isinstance(value, Mapping):
            value = dict(_plain(value, ids))
            # Some places leave out a `Truncated` that is false.
            if value.get("Truncated") is False:
                del value["Truncated"]
        elif isinstance(value, str):
            value = _text(value, ids)
        yield member, value


def _text(text: str, ids: Mapping[str, str]) -> str:
    for made_up, number in ids.items():
        text = text.replace(made_up, number)
    return _EXECUTION.sub("/<execution>", _ARN.sub("arn:", text))


def _difference(one: Sequence[str], other: Sequence[str]) -> Iterator[str]:
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    places = list(matcher.get_grouped_opcodes(_CONTEXT))
    for place in places[:_SHOWN_PLACES]:
        yield f"@@ event {place[0][1] + 1} of {len(one)}, {place[0][3] + 1} of {len(other)} @@"
        for tag, start, end, other_start, other_end in place:
            if tag == "equal":
                yield from (f"  {line}" for line in one[start:end])
                continue
            yield from (f"- {line}" for line in one[start:end])
            yield from (f"+ {line}" for line in other[other_start:other_end])
    if len(places) > _SHOWN_PLACES:
        yield f"They part in {len(places) - _SHOWN_PLACES} more places."
