"""What the demo shows is folded from events alone, each counted once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.cells import cell_len

from penstock_cli.demo.picture import NAME_CELLS, padded
from penstock_cli.demo.requests import REQUESTS
from penstock_cli.demo.show import FOLDERS_KEPT_MAX, new_folder
from penstock_cli.demo.story import Project, Scene

STARTED: dict[str, Any] = {"fence": 1, "attempt": 1, "workflow_version": "1", "stages": ["design", "build"]}


def told(project: Project, *events: tuple[str, dict[str, Any]]) -> list[str]:
    lines = [project.apply(project.sequence + 1, kind, data) for kind, data in events]
    return [line for line in lines if line is not None]


def test_a_run_is_told_from_its_wait_to_its_files() -> None:
    project = Project("日记", "prj_1", "run_1")
    assert told(project, ("ProjectCreated", {}), ("RunQueued", {}), ("RunAdmitted", {"fence": 1})) == []
    assert project.state == "waiting"
    assert told(
        project,
        ("RunStarted", STARTED),
        ("StageStarted", {"stage": "design", "attempt": 1}),
        ("StageFailed", {"stage": "design", "message": "no ink", "final": False}),
        ("StageStarted", {"stage": "design", "attempt": 2}),
        ("StageCompleted", {"stage": "design"}),
        ("StageStarted", {"stage": "build", "attempt": 1}),
    ) == ["design (1 of 2)", "design failed: no ink", "design (1 of 2)", "build (2 of 2)"]
    assert (project.state, project.finished, project.current) == ("running", {"design"}, {"build"})
    assert told(
        project,
        ("RunRequeued", {"reason": "its runner was lost"}),
        ("RunStarted", STARTED | {"attempt": 2}),
        ("SomethingNew", {}),
        ("RunSucceeded", {"artifacts": [{}, {}]}),
    ) == [
        "waits again: its runner was lost",
        "goes on, 1 of 2 stages are finished",
        "succeeded with 2 files",
    ]
    assert project.ended


def test_one_file_is_told_as_one() -> None:
    assert Project("x", "prj_1", "run_1").apply(1, "RunSucceeded", {"artifacts": [{}]}) == "succeeded with 1 file"


def test_an_event_seen_before_changes_nothing() -> None:
    project = Project("x", "prj_1", "run_1")
    assert project.apply(5, "RunFailed", {"message": "lost"}) == "failed: lost"
    assert project.apply(5, "RunFailed", {"message": "lost"}) is None
    assert project.apply(4, "RunStarted", STARTED) is None
    assert project.state == "failed"


def test_the_queue_is_told_only_when_it_moved() -> None:
    projects = [Project(f"p{number}", f"prj_{number}", f"run_{number}") for number in range(3)]
    scene = Scene(projects)
    projects[0].state = "running"
    assert scene.take_places(["run_2", "run_of_somebody_else", "run_1"]) == "waiting: 1 p2, 3 p1"
    assert scene.take_places(["run_2", "run_of_somebody_else", "run_1"]) is None
    assert projects[0].position is None
    assert scene.take_places([]) == "nobody waits any more"
    assert (scene.count("waiting"), scene.count("running", "waiting"), scene.ended) == (2, 3, False)


def test_the_demo_asks_for_ten_different_things_in_two_languages() -> None:
    assert len({request.requirement for request in REQUESTS}) == len({request.name for request in REQUESTS}) == 10
    assert 3 <= sum(any("一" <= letter <= "鿿" for letter in request.requirement) for request in REQUESTS) <= 7
    assert {cell_len(padded(request.name)) for request in REQUESTS} == {NAME_CELLS}


def test_demos_get_a_folder_each_and_only_the_last_few_are_kept(tmp_path: Path) -> None:
    for _ in range(FOLDERS_KEPT_MAX + 3):
        new_folder(tmp_path).mkdir()
    (tmp_path / "notes").mkdir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["4", "5", "6", "7", "8", "notes"]
