"""The images cannot be built without a container engine, so their recipes are read: each step must be able to work."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.infra.recorder import Program

from penstock_infra.functions import ENTRY_POINT, HANDLERS
from penstock_infra.images import SERVICES
from penstock_infra.services import SCRATCH_PATH

ROOT = Path(__file__).parents[2]
CONTAINER_ROOT = "/app"


@dataclass(frozen=True)
class Recipe:
    """The instructions of a Dockerfile, by stage."""

    service: str
    stages: tuple[tuple[tuple[str, str], ...], ...]

    @property
    def final(self) -> tuple[tuple[str, str], ...]:
        return self.stages[-1]

    def arguments(self, instruction: str, stage: int = -1) -> list[str]:
        return [argument for name, argument in self.stages[stage] if name == instruction]

    @property
    def copied(self) -> dict[str, str]:
        """Source below the repository → place in the final image."""
        pairs = [argument.split() for argument in self.arguments("COPY") if not argument.startswith("--from")]
        assert all(len(pair) == 2 for pair in pairs), pairs
        return dict(pairs)

    @property
    def command(self) -> list[str]:
        [command] = self.arguments("CMD")
        parsed: list[str] = json.loads(command)
        return parsed


def targeted(glob: str, urn: str) -> bool:
    """As Pulumi matches: `**` stands for anything."""
    return re.fullmatch(re.escape(glob).replace(re.escape("**"), ".*"), urn) is not None


def test_the_first_step_of_a_deployment_makes_all_registries_and_needs_nothing_else(program: Program) -> None:
    """What a targeted resource needs must be targeted itself, or Pulumi refuses to make it."""
    [glob] = re.findall(r"pulumi up --target '(.*?)'", (ROOT / "docs/operations.md").read_text())
    first = {urn for urn in program.needs if targeted(glob, urn)}
    kinds = [urn.split("::")[2].rsplit("$", 1)[-1] for urn in first]
    assert kinds.count("aws:ecr/repository:Repository") == len(SERVICES)
    assert not [kind for kind in kinds if not kind.startswith(("aws:ecr/", "penstock:infra:Images"))]
    needed = {needed for urn in first for needed in program.needs[urn]} - first
    assert [urn for urn in needed if "pulumi:pulumi:Stack::" not in urn] == []


def read(service: str) -> Recipe:
    text = (ROOT / service / "Dockerfile").read_text()
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    stages: list[list[tuple[str, str]]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, argument = line.split(maxsplit=1)
        if name == "FROM":
            stages.append([])
        stages[-1].append((name, argument))
    return Recipe(service, tuple(tuple(stage) for stage in stages))


@pytest.fixture(params=SERVICES)
def recipe(request: pytest.FixtureRequest) -> Recipe:
    return read(request.param)


def extras(recipe: Recipe) -> list[str]:
    [sync] = [run for run in recipe.arguments("RUN", 0) if run.startswith("uv sync")]
    return re.findall(r"--extra (\S+)", sync)


def first_party_imports(package: Path) -> set[str]:
    found: set[str] = set()
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {name.name for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module)
    return {name.split(".")[0] for name in found if name.startswith("penstock_")}


def test_every_service_folder_with_code_has_an_image() -> None:
    assert {path.parent.name for path in ROOT.glob("*-svc/Dockerfile")} == set(SERVICES)
    assert {path.parent.name for path in ROOT.glob("*-svc/src")} == set(SERVICES)


def test_dependencies_come_from_the_lock_without_development_tools(recipe: Recipe) -> None:
    [sync] = [run for run in recipe.arguments("RUN", 0) if run.startswith("uv sync")]
    assert {"--frozen", "--no-default-groups", "--no-install-project"} <= set(sync.split())
    assert any("UV_COMPILE_BYTECODE=1" in setting for setting in recipe.arguments("ENV", 0))
    assert recipe.arguments("COPY", 0) == ["pyproject.toml uv.lock ./"]


def test_the_extras_of_an_image_exist(recipe: Recipe) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extras(recipe)[0] == recipe.service
    assert set(extras(recipe)) <= set(declared)


def test_both_stages_have_the_same_python(recipe: Recipe) -> None:
    build, final = (stage[0][1] for stage in recipe.stages)
    assert (build, final) == ("python:3.11-slim AS dependencies", "python:3.11-slim")


def test_what_an_image_copies_exists_and_reaches_the_build(recipe: Recipe) -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignore
    let_in = [line.removeprefix("!") for line in ignore if line.startswith("!")]
    for source in recipe.copied:
        assert (ROOT / source / "__init__.py").is_file()
        assert any(source.startswith(f"{folder}/") for folder in let_in)
    assert {"pyproject.toml", "uv.lock"} <= set(let_in)


def test_an_image_holds_every_package_that_its_code_imports(recipe: Recipe) -> None:
    packages = {Path(source).name for source in recipe.copied}
    needed = set().union(*(first_party_imports(ROOT / source) for source in recipe.copied))
    assert needed <= packages
    for source, place in recipe.copied.items():
        assert place == f"{CONTAINER_ROOT}/{Path(source).name}"
    assert any(f"PYTHONPATH={CONTAINER_ROOT}" in setting for setting in recipe.arguments("ENV"))


def test_an_image_runs_a_module_that_exists_in_exec_form(recipe: Recipe) -> None:
    python, dash_m, module = recipe.command
    assert (python, dash_m) == ("python", "-m")
    assert importlib.util.find_spec(module) is not None
    assert not recipe.arguments("ENTRYPOINT")


def test_an_image_does_not_run_as_root_and_stops_on_sigterm(recipe: Recipe) -> None:
    [user] = recipe.arguments("USER")
    assert user.isdecimal()
    assert int(user) > 0
    names = [name for name, _ in recipe.final]
    assert names.index("USER") > max(place for place, name in enumerate(names) if name in ("COPY", "RUN"))
    assert recipe.arguments("STOPSIGNAL") == ["SIGTERM"]


@pytest.mark.parametrize("service", ["api-gateway-svc", "workflow-runner-svc"])
def test_the_one_place_to_write_is_a_volume_that_belongs_to_the_user(service: str) -> None:
    recipe = read(service)
    assert [json.loads(volume) for volume in recipe.arguments("VOLUME")] == [[SCRATCH_PATH]]
    assert any(f"TMPDIR={SCRATCH_PATH}" in setting for setting in recipe.arguments("ENV"))
    assert any(f"install -d -o penstock -m 0700 {SCRATCH_PATH}" in run for run in recipe.arguments("RUN"))


def test_the_api_says_that_it_is_alive() -> None:
    [check] = read("api-gateway-svc").arguments("HEALTHCHECK")
    command = json.loads(check.split("CMD", 1)[1])
    assert command[:2] == ["python", "-c"]
    compile(command[2], "healthcheck", "exec")
    assert "/healthz" in command[2]


def test_lambda_starts_the_interpreter_of_the_orchestrator_image() -> None:
    recipe = read("orchestrator-svc")
    assert ENTRY_POINT[0] == f"{CONTAINER_ROOT}/.venv/bin/python"
    assert f"--from=dependencies {CONTAINER_ROOT}/.venv {CONTAINER_ROOT}/.venv" in recipe.arguments("COPY")
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    [penstock] = [package for package in lock["package"] if package["name"] == "penstock"]
    locked = {entry["name"] for extra in extras(recipe) for entry in penstock["optional-dependencies"][extra]}
    assert ENTRY_POINT[2] in locked


@pytest.mark.parametrize("handler", sorted(HANDLERS.values()))
def test_the_handler_that_lambda_is_told_to_call_exists(handler: str) -> None:
    module, name = handler.rsplit(".", 1)
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
