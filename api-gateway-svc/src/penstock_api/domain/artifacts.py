"""The files of a run, from the results of its finished stages."""

from __future__ import annotations

from collections.abc import Mapping

from penstock_api.domain.views import ArtifactList, ArtifactView
from penstock_backbone.records.results import StoredArtifact, StoredResult
from penstock_backbone.records.runs import RunItem, story


def stage_order(run: RunItem) -> list[str]:
    """As the workflow lists its stages; a finished stage that no RunStarted names comes last."""
    listed = (name for _, entry in story(run) if entry["t"] == "RunStarted" for name in entry["d"]["stages"])
    return list(dict.fromkeys([*listed, *run["results"]]))


def by_name(order: list[str], results: Mapping[str, StoredResult]) -> dict[str, tuple[str, StoredArtifact]]:
    """Name → (stage, file); of a name that several stages have put, the last one's file stands."""
    return {
        artifact.name: (stage, artifact) for stage in order if stage in results for artifact in results[stage].artifacts
    }


def artifact_list(run_id: str, files: Mapping[str, tuple[str, StoredArtifact]]) -> ArtifactList:
    return ArtifactList(artifacts=[_view(run_id, *files[name]) for name in sorted(files)])


def _view(run_id: str, stage: str, artifact: StoredArtifact) -> ArtifactView:
    return ArtifactView(
        name=artifact.name,
        stage=stage,
        size=artifact.size,
        sha256=artifact.sha256,
        href=f"/v1/runs/{run_id}/artifacts/{artifact.name}",
    )
