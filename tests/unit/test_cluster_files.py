"""The files for KubeRay and Slurm, as far as they can be checked without either."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from harness.cli.main import app

FILES = Path(__file__).parents[2] / "docs" / "cluster"
SBATCH = FILES / "slurm.sbatch"


def closed(required: list[str], **properties: Any) -> dict[str, Any]:
    """Return the schema of an object with these fields and no others."""
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


TEXT, COUNT, ANY = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "object"}
TEXTS = {"type": "object", "additionalProperties": TEXT}
QUANTITIES = closed([], requests=TEXTS, limits=TEXTS)
CONTAINER = closed(
    ["name", "image"],
    name=TEXT,
    image=TEXT,
    envFrom={"type": "array", "items": closed([], secretRef=closed(["name"], name=TEXT))},
    ports={"type": "array", "items": closed(["containerPort"], containerPort=COUNT, name={**TEXT, "maxLength": 15})},
    resources=QUANTITIES,
    volumeMounts={"type": "array", "items": closed(["name", "mountPath"], name=TEXT, mountPath=TEXT)},
)
POD = closed(
    ["spec"],
    spec=closed(
        ["containers"],
        containers={"type": "array", "minItems": 1, "items": CONTAINER},
        volumes={
            "type": "array",
            "items": closed(
                ["name"],
                name=TEXT,
                persistentVolumeClaim=closed(["claimName"], claimName=TEXT),
                configMap=closed(["name"], name=TEXT),
            ),
        },
    ),
)
RAYJOB = closed(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=closed(["name"], name={**TEXT, "pattern": "^[a-z]([-a-z0-9]{0,45}[a-z0-9])?$"}),
    spec=closed(
        ["entrypoint", "rayClusterSpec"],
        activeDeadlineSeconds=COUNT,
        backoffLimit=COUNT,
        entrypoint=TEXT,
        runtimeEnvYAML=TEXT,
        jobId=TEXT,
        submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode"]},
        shutdownAfterJobFinishes={"type": "boolean"},
        ttlSecondsAfterFinished=COUNT,
        suspend={"type": "boolean"},
        metadata=TEXTS,
        submitterPodTemplate=ANY,
        rayClusterSpec=closed(
            ["headGroupSpec"],
            rayVersion=TEXT,
            enableInTreeAutoscaling={"type": "boolean"},
            headGroupSpec=closed(["rayStartParams", "template"], rayStartParams=TEXTS, template=POD, serviceType=TEXT),
            workerGroupSpecs={
                "type": "array",
                "items": closed(
                    ["groupName", "minReplicas", "maxReplicas", "rayStartParams", "template"],
                    groupName=TEXT,
                    replicas=COUNT,
                    minReplicas=COUNT,
                    maxReplicas=COUNT,
                    numOfHosts=COUNT,
                    rayStartParams=TEXTS,
                    template=POD,
                ),
            },
        ),
    ),
)
"""Fields of KubeRay's RayJob and RayCluster (ray-operator/apis/ray/v1/*_types.go), and those fields of Kubernetes' pods
that the manifest uses."""


@pytest.fixture
def manifest() -> Any:
    return yaml.safe_load((FILES / "rayjob.yaml").read_text())


def test_the_rayjob_has_the_fields_of_its_type(manifest: Any) -> None:
    jsonschema.validate(manifest, RAYJOB)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "entryPoint"), "x"),
        (("spec", "submissionMode"), "Http"),
        (("spec", "rayClusterSpec", "headGroupSpec", "rayStartParams"), {"num-cpus": 0}),
        (("spec", "rayClusterSpec", "workers"), []),
    ],
)
def test_the_schema_refuses_what_kuberay_would(manifest: Any, path: tuple[str, ...], value: Any) -> None:
    wrong = copy.deepcopy(manifest)
    place = wrong
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, RAYJOB)


def test_every_volume_that_is_mounted_is_there(manifest: Any) -> None:
    cluster = manifest["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
        assert mounted <= {volume["name"] for volume in pod["volumes"]}


def test_the_rayjobs_runtime_environment_is_one_and_holds_no_secret(manifest: Any) -> None:
    from ray.runtime_env import RuntimeEnv

    assert set(RuntimeEnv(**yaml.safe_load(manifest["spec"]["runtimeEnvYAML"]))["env_vars"]) == {
        "RAY_JOB_STOP_WAIT_TIME_S"
    }


def test_the_rayjob_asks_for_the_ray_that_the_suite_runs_with(manifest: Any) -> None:
    pins = (FILES.parents[1] / "constraints.txt").read_text().splitlines()
    assert f"ray=={manifest['spec']['rayClusterSpec']['rayVersion']}" in pins


def test_the_harness_knows_every_flag_that_the_files_use(manifest: Any) -> None:
    help_text = CliRunner().invoke(app, ["run", "--help"]).output
    for text in (manifest["spec"]["entrypoint"], SBATCH.read_text().partition("harness run")[2].partition("&")[0]):
        flags = [word for word in text.split() if word.startswith("--")]
        assert flags
        assert all(flag in help_text for flag in flags)


def test_bash_reads_the_sbatch_script() -> None:
    read = subprocess.run(["bash", "-n", SBATCH], capture_output=True, text=True, check=False)
    assert (read.returncode, read.stderr) == (0, "")


STUBS = {
    "scontrol": "printf 'n1\\nn2\\n'",
    "srun": 'while [[ $1 == --* ]]; do shift; done; exec "$@"',
    "ray": 'echo "$@" >>"$LOG"; exec sleep 60',
    "python": "[ $1 = - ] || { echo token-for-ray; exit; }; "
    'until [ "$(grep -cs start "$LOG")" = 2 ]; do sleep 0.05; done',  # the nodes that the script waits for
    "harness": 'echo "$@" >>"$LOG"; cat "$RAY_AUTH_TOKEN_PATH" >"$LOG.token"; '
    "trap 'kill $!; exit 5' TERM; [ $1 = run ] && [ -n \"$LONG\" ] && { sleep 60 & touch $LOG.ready; wait; }; exit 3",
}
"""Stubs of the commands that the script calls. The last one ends with code 3, or with 5 if it is stopped."""


@pytest.fixture
def slurm(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Return a function that starts the script with stubs of Slurm, Ray and the harness."""
    for name, text in STUBS.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)

    def start(**extra: str) -> subprocess.Popen[str]:
        environment = {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "LOG": str(tmp_path / "log"),
            "LONG": "",
            "SLURM_JOB_NODELIST": "n[1-2]",
            "SLURM_JOB_ID": "7",
            "SLURM_CPUS_PER_TASK": "4",
            "MLFLOW_TRACKING_URI": "http://mlflow:5000",
        }
        command = ["bash", str(SBATCH), "my-first.yaml", str(tmp_path / "storage")]
        return subprocess.Popen(command, env={**environment, **extra}, stderr=subprocess.PIPE, text=True)

    return start


def test_the_sbatch_script_starts_a_ray_on_each_node_and_ends_with_the_sweeps_code(
    slurm: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    script = slurm()
    _, messages = script.communicate(timeout=60)
    assert script.returncode == 3, messages
    log = (tmp_path / "log").read_text()
    assert "start --head --port=6379 --num-cpus=4" in log
    assert "start --address=n1:6379 --num-cpus=4" in log
    assert f"run my-first.yaml --address n1:6379 --storage {tmp_path}/storage" in log
    assert (tmp_path / "log.token").read_text() == "token-for-ray\n"
    assert not list((tmp_path / "storage").iterdir())


def test_slurms_signal_reaches_the_sweep_whose_code_is_the_jobs(
    slurm: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    script = slurm(LONG="yes")
    while not (tmp_path / "log.ready").exists():
        assert script.poll() is None
        time.sleep(0.05)
    script.terminate()
    script.communicate(timeout=60)
    assert script.returncode == 5


def test_slurms_settings_come_before_the_first_command() -> None:
    """Slurm ignores those after it."""
    lines = SBATCH.read_text().splitlines()
    first = next(index for index, line in enumerate(lines) if line and not line.startswith("#"))
    settings = [index for index, line in enumerate(lines) if line.startswith("#SBATCH ")]
    assert settings
    assert max(settings) < first


def test_shellcheck_has_nothing_to_say_about_the_sbatch_script() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed here; .ci/run installs it")
    checked = subprocess.run(["shellcheck", SBATCH], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
