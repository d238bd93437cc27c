"""The examples of the OpenAPI document: one consistent story."""

from __future__ import annotations

from typing import Any

_PROJECT = "prj_01KB5S6ZC1QG9VYH2N7D3T8XEM"
_RUN = "run_01KB5S6ZC1QG9VYH2N7D3T8XEN"
_TIME = "2026-11-24T02:47:13.123Z"
_SUMMARY = {
    "id": _PROJECT,
    "name": "Refund assistant",
    "workflow": "agent_build",
    "priority": 3,
    "tags": ["support"],
    "status": "queued",
    "created_at": _TIME,
    "run_id": _RUN,
}
_RUN_VIEW = {
    "id": _RUN, "state": "queued", "attempt": 0, "cancel_requested": False, "pause_requested": False, "waits": [], "workflow_version": None, "queued_at": _TIME, "started_at": None,
    "ended_at": None, "duration_ms": None, "error": None,
}  # fmt: skip
_STAGE = {
    "name": "requirements_analysis", "title": "Requirements analysis", "status": "pending", "attempt": 0,
    "started_at": None, "completed_at": None, "duration_ms": None, "error": None, "usage": None,
}  # fmt: skip
_EVENT = {
    "metadata": {
        "event_id": f"{_RUN}:1", "type": "ProjectCreated", "version": 1, "tenant": "default", "project_id": _PROJECT,
        "run_id": _RUN, "sequence": 1, "occurred_at": _TIME, "cause_id": None,
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    },
    "data": {"name": "Refund assistant", "workflow": "agent_build", "priority": 3, "tags": ["support"]},
}  # fmt: skip
_ARTIFACT = {
    "name": "package/README.md",
    "stage": "agent_deployer",
    "size": 2048,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "href": f"/v1/runs/{_RUN}/artifacts/package/README.md",
}
_SPAN = {
    "name": "POST /v1/projects", "service": "penstock-api", "span_id": "b7ad6b7169203331", "parent_id": None,
    "start_ms": 1795488433123.4, "duration_ms": 1.9, "status": "unset", "error": None,
    "attributes": {"http.request.method": "POST", "http.route": "/v1/projects", "http.response.status_code": 201},
}  # fmt: skip

_CHANGE = "chg_01KB5S6ZC1QG9VYH2N7D3T8XER"
_STATED = {"limit": 20, "weight": None, "min_share": None, "paused": False, "yields": False}
_LIMIT = {
    **_STATED,
    "scope": "fleet",
    "state": "open",
    "held": 5,
    "limit_unknown": None,
    "version": _CHANGE,
    "changed_at": _TIME,
}
_REQUESTS: dict[str, Any] = {
    "English": {
        "value": {
            "requirement": "Build me an agent that reads refund requests and drafts a polite answer to each.",
            "name": "Refund assistant",
            "tags": ["support"],
        }
    },
    "Chinese": {"value": {"requirement": "做一个智能助手,读取客户的退款申请并起草礼貌的回复。", "priority": 2}},
    "A tool": {
        "value": {
            "requirement": "A tool that finds the dates in a text and gives them in ISO format.",
            "workflow": "tool_build",
        }
    },
    "A change of an agent": {
        "value": {
            "requirement": "Add a tool that judges the sentiment of feedback, and remove the greeting tool.",
            "workflow": "agent_update",
            "input": {"project": _PROJECT},
        }
    },
}
_ANSWERS: dict[str, Any] = {
    "ProjectSummary": _SUMMARY,
    "ProjectView": {
        **_SUMMARY,
        "requirement": _REQUESTS["English"]["value"]["requirement"],
        "run": _RUN_VIEW,
        "stages_snapshot": {"total": 1, "completed": 0, "stages": [_STAGE]},
        "queue": {"position": 4, "waiting": 5, "as_of": _TIME},
    },
    "ProjectPage": {"projects": [_SUMMARY], "next_cursor": None},
    "EventPage": {"events": [_EVENT], "after": 1, "ended": False},
    "ArtifactList": {"artifacts": [_ARTIFACT]},
    "TraceView": {"trace_id": "0af7651916cd43dd8448eb211c80319c", "spans": [_SPAN]},
    "WorkflowList": {
        "workflows": [
            {
                "name": "agent_build",
                "version": "1",
                "stages": [{"name": "requirements_analysis", "title": "Requirements analysis"}],
                "input_schema": None,
            }
        ]
    },
    "BoardView": {"waiting": 5, "held": 5, "places": [{"position": 1, "run_id": _RUN}], "as_of": _TIME},
    "AdmissionView": {
        "run_id": _RUN,
        "state": "queued",
        "priority": 3,
        "position": 4,
        "waiting": 5,
        "blocked_by": [
            {
                "scope": "fleet",
                "reason": "limit",
                "limit": 5,
                "held": 5,
                "holders": ["run_01KB5S6ZC1QG9VYH2N7D3T8XEQ"],
                "next_lease_end": {
                    "run_id": "run_01KB5S6ZC1QG9VYH2N7D3T8XEQ",
                    "silent_ms": 4_200,
                    "ends_in_ms": 5_800,
                },
                "next_lease_end_unknown": None,
            }
        ],
        "unserved": None,
        "start": {"p50_ms": 1_450_000, "p90_ms": 2_310_000, "measured_runs": 37},
        "start_unknown": None,
        "yielding": False,
        "as_of": _TIME,
    },
    "LimitView": _LIMIT,
    "LimitPage": {"limits": [_LIMIT], "next_cursor": None},
    "LimitChangePage": {
        "changes": [{"change": _CHANGE, "who": "default", "at": _TIME, "old": _STATED | {"limit": 5}, "new": _STATED}],
        "next_cursor": None,
    },
    "HealthView": {"status": "ok"},
}
_PROBLEMS: dict[str, dict[str, Any]] = {
    "invalid-request": {
        "detail": "priority must be from 1 to 5.",
        "errors": [{"message": "must be from 1 to 5", "pointer": "#/priority"}],
    },
    "not-json": {"detail": "The body cannot be read as JSON: expected value at line 1 column 1."},
    "unknown-workflow": {
        "detail": "No runner can execute the workflow 'agent_bild': it must be one of agent_build.",
        "errors": [{"message": "must be one of agent_build", "pointer": "#/workflow"}],
        "known_workflows": ["agent_build"],
    },
    "bad-cursor": {
        "detail": "The cursor is damaged: begin again without one.",
        "errors": [{"message": "the cursor is damaged: begin again without one", "parameter": "cursor"}],
    },
    "foreign-page": {
        "detail": "A page of another address (https://shop.example) may not change anything here: the API allows the pages "
        "that PENSTOCK_ALLOWED_ORIGINS lists."
    },
    "not-found": {"detail": "There is no such project."},
    "traces-elsewhere": {
        "detail": "Traces are not kept here, but sent to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names: "
        "look there for the trace 0af7651916cd43dd8448eb211c80319c.",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
    },
    "method-not-allowed": {"detail": "Use GET, HEAD, OPTIONS, POST at this address."},
    "idempotency-key-reused": {
        "detail": f"This Idempotency-Key has made {_PROJECT} from another request: use a new key for a new request.",
        "errors": [{"message": "was used before", "header": "Idempotency-Key"}],
    },
    "already-over": {"detail": "The run has succeeded already: there is nothing left to cancel."},
    "not-over": {"detail": "The run is not over: cancel it first, or wait for its end."},
    "not-asked": {"detail": "The stage deploy asks nothing that could be answered."},
    "answered-before": {"detail": "The signal go was sent with another value before, and the first one stands."},
    "run-full": {
        "detail": "A run can keep 20 signals and answers to stages that have not finished, and it has them: try again once one of these stages has finished."
    },
    "limit-changed": {
        "detail": f"The limit of fleet was changed by somebody else, to version {_CHANGE}: GET it, and decide again."
    },
    "too-large": {"detail": "The body may have at most 256 KB."},
    "unknown-host": {
        "detail": "The API does not go by the name penstock.example.com: ask it as localhost or by an IP address, or list "
        "the name in PENSTOCK_ALLOWED_HOSTS."
    },
    "input-misfit": {
        "detail": "input/project must be a string or null.",
        "errors": [{"message": "must be a string or null", "pointer": "#/input/project"}],
    },
    "unsupported-media-type": {"detail": "Send the body as application/json in UTF-8."},
    "internal": {
        "detail": "The request failed. The server's log explains it under req_01KB5S6ZC1QG9VYH2N7D3T8XEP.",
        "request_id": "req_01KB5S6ZC1QG9VYH2N7D3T8XEP",
    },
    "artifact-lost": {"detail": "The file was listed, but its storage no longer has it as it was written."},
    "unavailable": {"detail": "The storage behind the API does not answer at the moment: try again in a second."},
    "no-runner": {"detail": "Nothing can be built before a runner has started: try again in a second."},
    "too-many-streams": {"detail": "This process has all the streams open that it may: try again in a second."},
}

_CHANGES: dict[str, dict[str, Any]] = {
    "FleetChange": {
        "Raise the fleet": {"value": {"limit": 20, "version": None}},
        "Pause": {"value": {"paused": True}},
        "Let runs yield to tenants that have no slot": {"value": {"yields": True}},
    },
    "ShardsChange": {"Spread the tenants over four": {"value": {"limit": 4}}},
    "ScopeChange": {
        "A limit of its own": {"value": {"limit": 3}},
        "No limit of its own": {"value": {"limit": None}},
        "Pause": {"value": {"paused": True}},
        "A tenant's weight and share": {"value": {"weight": 3, "min_share": 1}},
    },
}

_CANCELS: dict[str, Any] = {"With a reason": {"value": {"reason": "The customer has changed their mind."}}}

_WISHES: dict[str, dict[str, Any]] = {
    "PauseRequest": {"With a reason": {"value": {"reason": "The budget of this month is spent."}}},
    "ResumeRequest": {"Nothing to say": {"value": {}}},
    "RetryRequest": {
        "What is unfinished": {"value": {}},
        "From a finished stage": {"value": {"from_stage": "requirements_analysis"}},
    },
    "AnswerRequest": {"With a comment": {"value": {"stage": "review", "by": "Ada", "comment": "Looks good."}}},
    "SignalValue": {"An object": {"value": {"paid": True}}},
}

EXAMPLES: dict[str, Any] = {
    "bodies": {"NewProject": _REQUESTS, **_CHANGES, "CancelRequest": _CANCELS, **_WISHES},
    "requests": _REQUESTS,
    "answers": _ANSWERS,
    "problems": _PROBLEMS,
}
