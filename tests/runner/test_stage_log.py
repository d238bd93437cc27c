"""What stages say is kept short and without secrets, in the log and in the run's story."""

from __future__ import annotations

import logging

import pytest
from tests.runner.rig import Rig, virtual
from tests.runner.stages import Word, stage, workflow
from tests.runner.test_execution import of_type

from penstock_backbone.records.runs import FAILED
from penstock_runner.authoring import FinalError, StageContext
from penstock_runner.domain.redaction import Redaction
from penstock_runner.handlers.stage_log import ATTEMPT_CHARS_MAX, LINE_CHARS_MAX, StageLog


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("calling with AKIAABCDEFGHIJKLMNOP now", "calling with [redacted] now"),
        ("Authorization: Bearer abcdef0123456789", "Authorization: Bearer [redacted]"),
        ('{"api_key": "abc def", "n": 1}', '{"api_key": [redacted], "n": 1}'),
        ("MODEL_API_KEY=abcdef&x=1", "MODEL_API_KEY=[redacted]&x=1"),
        ("password: hunter2!", "password: [redacted]"),
        ("postgres://me:s3cret@host/db", "postgres://[redacted]@host/db"),
        (f"sk-{'a1' * 12}", "[redacted]"),
        ("ghp_0123456789abcdefghij0123", "[redacted]"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.abc", "[redacted]"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nafter", "[redacted]\nafter"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE and then it is cut", "[redacted]"),
        ("it holds correct-horse-battery twice: correct-horse-battery", "it holds [redacted] twice: [redacted]"),
        ("42 tokens, 3 keys, a secret garden", "42 tokens, 3 keys, a secret garden"),
        ("input_tokens 17", "input_tokens 17"),
    ],
)
def test_secrets_are_taken_out_and_ordinary_words_stay(said: str, shown: str) -> None:
    assert Redaction(("correct-horse-battery",))(said) == shown


def test_values_of_the_environment_are_secrets_when_their_names_say_so() -> None:
    environment = {
        "AWS_SECRET_ACCESS_KEY": "abcdefgh12345", "MODEL_TOKEN": "tok-123456789", "DB_PASSWORD": "short",
        "HOME": "the house of somebody", "PENSTOCK_DATA": "a folder with data",
    }  # fmt: skip
    assert set(Redaction.of_environment(environment).known) == {"abcdefgh12345", "tok-123456789"}


def log() -> StageLog:
    return StageLog("run_1", "read", Redaction())


def test_a_line_is_bound_to_its_run_and_stage(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        log().info("read %d pages with token=%s", 3, "abcdefgh")
        log().info("not %d a number", "x")
    assert caplog.messages == [
        "[run_1 read] read 3 pages with token=[redacted]",
        "[run_1 read] not %d a number ('x',)",
    ]


def test_a_long_line_and_a_talkative_attempt_are_cut(caplog: pytest.LogCaptureFixture) -> None:
    talkative = log()
    with caplog.at_level(logging.INFO):
        for _ in range(1000):
            talkative.info("x" * 1_000_000)
    assert len(caplog.messages[0]) < LINE_CHARS_MAX + 100
    assert sum(map(len, caplog.messages)) < ATTEMPT_CHARS_MAX + 10_000
    assert caplog.messages[-1] == "[run_1 read] This attempt has logged enough: the rest is left out."


def test_a_traceback_is_logged_without_its_secrets(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        try:
            int("password=hunter22")
        except ValueError:
            log().exception("it broke")
    (record,) = caplog.records
    assert "ValueError: invalid literal for int() with base 10: 'password=[redacted]'" in record.getMessage()
    assert record.exc_info is None


@virtual
async def test_the_error_of_a_stage_is_kept_without_its_secrets(rig: Rig) -> None:
    async def fails(context: StageContext) -> Word:
        raise FinalError("refused for AKIAABCDEFGHIJKLMNOP")

    one = workflow(stage("only", fails))
    run_id = await rig.submit(one)
    rig.start(one)
    await rig.until_ended(run_id, state=FAILED)
    assert of_type(await rig.story(run_id), "RunFailed")[0]["message"] == "refused for [redacted]"
