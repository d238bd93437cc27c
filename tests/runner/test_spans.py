"""Each attempt of a stage, and each claim of a run, is a span under the trace that began with the request."""

from __future__ import annotations

from pathlib import Path

from tests.runner.rig import Rig, virtual
from tests.runner.stages import Word, stage, workflow

from penstock_backbone.records.runs import SUCCEEDED
from penstock_backbone.telemetry import SpanStore, start
from penstock_runner.authoring import StageContext

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


def test_a_run_leaves_a_span_for_each_attempt_and_one_for_itself(tmp_path: Path) -> None:
    traced(tmp_path / "spans.db")
    spans = SpanStore(tmp_path / "spans.db").trace(TRACE)
    spans.sort(key=lambda span: (span["name"], span["start_ms"]))
    assert [(span["name"], span["error"], round(span["duration_ms"])) for span in spans] == [
        ("check", None, 0),
        ("draft", "ValueError: not yet", 2000),
        ("draft", None, 2000),
        ("run sample", None, 5000),
    ]
    assert {(span["service"], span["parent_id"]) for span in spans} == {("workflow-runner", PARENT)}
    assert [span["attributes"].get("penstock.attempt") for span in spans] == [1, 1, 2, None]
    assert {span["attributes"]["penstock.run"] for span in spans} == {spans[0]["attributes"]["penstock.run"]}


@virtual
async def traced(rig: Rig, store: Path) -> None:
    async def draft(context: StageContext) -> Word:
        await rig.clock.sleep(2)
        if context.attempt == 1:
            raise ValueError("not yet")
        return Word()

    two = workflow(stage("draft", draft), stage("check"))
    rig.telemetry = start("workflow-runner", store_path=store, otlp=False)
    run_id = await rig.submit(two, traceparent=f"00-{TRACE}-{PARENT}-01")
    rig.start(two)
    await rig.until_ended(run_id, state=SUCCEEDED)
    await rig.clock.sleep(1)
    rig.telemetry.shutdown()
