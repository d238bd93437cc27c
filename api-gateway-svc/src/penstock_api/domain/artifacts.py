"""The files of a run as the API shows them."""

from __future__ import annotations

from collections.abc import Mapping

from penstock_api.domain.views import ArtifactList, ArtifactView
from penstock_backbone.records.results import StoredArtifact


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
