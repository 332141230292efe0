"""The manifests in `examples/kubernetes` are what Kubernetes takes, and fit our own options."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import kubernetes_validate
import pytest
import yaml

from async_durable_execution_runner.cli import arguments, remote
from async_durable_execution_runner.coordinator import server
from async_durable_execution_runner.security import access, certificates

FOLDER = Path(__file__).parents[1] / "examples" / "kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
#: The releases of Kubernetes that are maintained.
RELEASES = ("1.34", "1.37")
MANIFESTS = [
    manifest
    for path in sorted({"tests.yaml", *KUSTOMIZATION["resources"]})
    for manifest in yaml.safe_load_all((FOLDER / path).read_text())
]
#: What the generators of the kustomization make, by kind and name.
GENERATED = {
    (kind, made["name"]): [Path(file).name for file in made["files"]]
    for kind, generator in (("Secret", "secretGenerator"), ("ConfigMap", "configMapGenerator"))
    for made in KUSTOMIZATION[generator]
}


class Program(NamedTuple):
    """The container of a Pod, with the files and variables that it finds."""

    pod: Any
    container: Any
    #: The path in the container of each file, with its name in the team's folder.
    files: dict[str, str]

    def args(self, team: Path) -> list[str]:
        """The arguments, with the paths of the files in the team's folder."""
        return [self._local(text, team) for text in self.container["args"]]

    def variables(self, team: Path) -> dict[str, str]:
        found = {}
        for variable in self.container.get("env", ()):
            if "valueFrom" in variable:
                of = variable["valueFrom"]["secretKeyRef"]
                assert of["key"] in GENERATED["Secret", of["name"]]
                found[variable["name"]] = (team / of["key"]).read_text()
            else:
                found[variable["name"]] = self._local(variable["value"], team)
        return found

    def _local(self, text: str, team: Path) -> str:
        option, equals, value = text.rpartition("=")
        return f"{option}{equals}{team / self.files[value]}" if value in self.files else text


def program(name: str) -> Program:
    (pod,) = (
        manifest["spec"]["template"]["spec"]
        for manifest in MANIFESTS
        if "template" in manifest.get("spec", ())
        and manifest["spec"]["template"]["metadata"]["labels"]["app"] == name
    )
    (container,) = pod["containers"]
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    files = {}
    for volume in pod["volumes"]:
        of = None
        if "secret" in volume:
            of = ("Secret", volume["secret"]["secretName"])
        elif "configMap" in volume:
            of = ("ConfigMap", volume["configMap"]["name"])
        for file in GENERATED[of] if of else ():
            files[f"{mounts[volume['name']]}/{file}"] = file
    return Program(pod, container, files)


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("team") / "team"
    for _ in certificates.write(folder, ["coordinator"], timedelta(days=1)):
        pass
    return folder


def parsed(args: list[str]) -> Any:
    parser = arguments.Parser()
    remote.add_commands(parser.add_subparsers(required=True))
    return parser.parse_args(args)


@pytest.mark.parametrize("release", RELEASES)
def test_the_manifests_fit_the_schema(release: str) -> None:
    for manifest in MANIFESTS:
        kubernetes_validate.validate(manifest, release, strict=True)


def test_what_is_generated_is_what_the_command_writes(team: Path) -> None:
    for generator in ("secretGenerator", "configMapGenerator"):
        for made in KUSTOMIZATION[generator]:
            for file in made["files"]:
                assert (team.parent / file).is_file()


def test_the_coordinator_starts_with_these_options(team: Path) -> None:
    coordinator = program("coordinator")
    options = parsed(coordinator.args(team))
    assert options.run is remote._coordinator
    doors = server._own_doors(server._options(coordinator.args(team)[1:]))
    assert doors.tls is not None
    (service,) = (each for each in MANIFESTS if each["kind"] == "Service")
    (port,) = coordinator.container["ports"]
    assert options.listen == f"0.0.0.0:{port['containerPort']}"
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    assert coordinator.container["readinessProbe"]["tcpSocket"]["port"] == port["name"]


def test_a_worker_host_starts_with_these_options_and_has_time_to_drain(team: Path) -> None:
    host = program("worker-host")
    options = parsed(host.args(team))
    assert options.run is remote._worker_host
    given = access.read(options.connect, vars(options), host.variables(team))
    assert given.token == (team / "worker-host.token").read_text().split()[0]
    assert given.tls is not None
    assert host.pod["terminationGracePeriodSeconds"] > options.drain_timeout
    # A fault that kills the host needs it not to be process 1.
    assert host.pod["shareProcessNamespace"]


def test_handlers_find_no_secret_in_files(team: Path) -> None:
    assert set(program("worker-host").files.values()) == {"ca.pem"}


def test_the_job_reaches_the_coordinator(team: Path) -> None:
    job = program("tests")
    variables = job.variables(team)
    (service,) = (each for each in MANIFESTS if each["kind"] == "Service")
    address = f"{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    assert variables["DURABLE_RUNNER_COORDINATOR"] == address
    assert parsed(program("worker-host").args(team)).connect == address
    given = access.read(address, {}, variables)
    assert given.token == (team / "client.token").read_text().split()[0]


@pytest.mark.parametrize("name", ["coordinator", "worker-host", "tests"])
def test_a_pod_has_no_rights_that_it_does_not_need(name: str) -> None:
    of = program(name)
    assert of.pod["automountServiceAccountToken"] is False
    assert of.pod["securityContext"]["runAsNonRoot"]
    context = of.container["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["readOnlyRootFilesystem"]
    assert not context["allowPrivilegeEscalation"]
