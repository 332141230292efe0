"""Virtual environments for what is compared with: an earlier revision, and AWS's runner.

They are made when they are first needed and kept in `.benchmarks` of the checkout, which git
ignores; that folder may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import shutil
import subprocess
import sys
import tarfile
from functools import cache
from pathlib import Path

_CHECKOUT = Path(__file__).parents[2]
_CACHE = _CHECKOUT / ".benchmarks"
_AWS_RUNNER = "aws-durable-execution-sdk-python-testing==1.4.0"
_OURS = "async-durable-execution-runner"


def commit(revision: str) -> str:
    """The commit that git knows by that name; `ValueError` where there is none."""
    try:
        return _git("rev-parse", "--verify", f"{revision}^{{commit}}").decode().strip()
    except subprocess.CalledProcessError as error:
        raise ValueError(revision) from error


@cache
def of_commit(commit: str) -> str:
    """The interpreter of an environment that has this project as it was then.

    All else that is installed there has the version that it has here.
    """
    versions = "".join(
        f"{each.name}=={each.version}\n"
        for each in sorted(importlib.metadata.distributions(), key=lambda each: each.name)
        if each.name != _OURS
    )
    folder = _folder(commit[:12], versions)
    if not _is_complete(folder):
        _note(f"Making an environment with commit {commit[:7]}")
        source = folder / "source"
        archive = io.BytesIO(_git("archive", "--format=tar", commit))
        with tarfile.open(fileobj=archive) as tar:
            tar.extractall(source, filter="data")
        (folder / "versions.txt").write_text(versions)
        # Editable, as this checkout usually is, so that both are found in the same way.
        _make(folder, "--constraint", str(folder / "versions.txt"), "--editable", str(source))
    return _python(folder)


@cache
def of_aws_runner() -> str:
    """The interpreter of an environment that has AWS's own runner, and pytest as it is here."""
    wanted = [
        _AWS_RUNNER,
        *(f"{each}=={importlib.metadata.version(each)}" for each in ("pytest", "pytest-xdist")),
    ]
    folder = _folder("aws-runner", " ".join(wanted))
    if not _is_complete(folder):
        _note(f"Making an environment with {_AWS_RUNNER}")
        _make(folder, *wanted)
    return _python(folder)


def _folder(name: str, holds: str) -> Path:
    digest = hashlib.sha256(f"{sys.version}\n{holds}".encode()).hexdigest()
    return _CACHE / f"{name}-{digest[:8]}"


def _is_complete(folder: Path) -> bool:
    if (folder / "complete").exists():
        return True
    shutil.rmtree(folder, ignore_errors=True)
    return False


def _make(folder: Path, *requirements: str) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    command = [_python(folder), "-m", "pip", "install", *requirements]
    pip = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if pip.returncode:
        raise RuntimeError(f"pip failed:\n{pip.stdout}")
    (folder / "complete").touch()


def _python(folder: Path) -> str:
    return str(folder / "venv" / "bin" / "python")


def _git(*arguments: str) -> bytes:
    command = ["git", "-C", str(_CHECKOUT), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def _note(text: str) -> None:
    print(f"{text}; it is kept for the next time.", file=sys.stderr, flush=True)
