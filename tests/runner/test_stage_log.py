"""What stages say is kept short and without secrets, in the log and in the run's story."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging

import pytest
from tests.runner.rig import Rig, virtual
from tests.runner.stages import Word, stage, workflow
from tests.runner.test_execution import of_type

from penstock_backbone.records.runs import FAILED
from penstock_runner.authoring import FinalError, StageContext
from penstock_runner.domain.raised import SHOWN_CHARS_MAX, end_of, is_final
from penstock_runner.domain.redaction import Redaction
from penstock_runner.handlers.stage_log import ATTEMPT_CHARS_MAX, LINE_CHARS_MAX, RedactingFilter, StageLog
from penstock_runner.stage_output import StageOutput


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
        log().info("%(count)d by name", {"count": 3})
    assert caplog.messages == [
        "[run_1 read] read 3 pages with token=[redacted]",
        "[run_1 read] not %d a number ('x',)",
        "[run_1 read] 3 by name",
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


def test_what_a_library_logs_holds_no_secrets_either() -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.addFilter(RedactingFilter(Redaction(("correct-horse-battery",))))
    library = logging.Logger("some.library")  # noqa: LOG001  # one of its own, that no other test hears
    library.addHandler(handler)
    library.warning("calling %s with %(a)s", "token=abcdefgh")
    library.warning("%(name)s for %(key)s", {"name": "calling", "key": "correct-horse-battery"})
    try:
        int("password=hunter22")
    except ValueError:
        library.exception("it broke")
    text = written.getvalue()
    assert "token=[redacted]" in text
    assert "calling for [redacted]" in text
    assert "password=[redacted]" in text
    assert not {"abcdefgh", "correct-horse-battery", "hunter22"} & set(text.replace("'", " ").replace("=", " ").split())


@virtual
async def test_what_async_stages_print_goes_to_the_log_of_each_and_what_others_print_does_not(rig: Rig) -> None:
    real = io.StringIO()
    heard: list[str] = []
    handler = Heard(heard)
    logging.getLogger("penstock_runner.stage").addHandler(handler)
    logging.getLogger("penstock_runner.stage").setLevel(logging.INFO)

    async def prints(context: StageContext) -> Word:
        print("half", end=" ")  # noqa: T201  # what a stage prints is what is tested
        await rig.clock.sleep(1)
        print("a line of", context.stage, "token=abcdefgh")  # noqa: T201  # what a stage prints is what is tested
        await asyncio.create_task(helper())
        print("the end", end="")  # noqa: T201  # what a stage prints is what is tested
        return Word()

    async def helper() -> None:
        print("from a task")  # noqa: T201  # what a stage prints is what is tested

    both = workflow(stage("one", prints, needs=()), stage("two", prints, needs=()))
    with contextlib.redirect_stdout(StageOutput(real)):
        run_id = await rig.submit(both)
        rig.start(both)
        await rig.until_ended(run_id)
        print("from nobody")  # noqa: T201  # what a stage prints is what is tested
    logging.getLogger("penstock_runner.stage").removeHandler(handler)
    for name in ("one", "two"):
        said = [text.partition("] ")[2] for text in heard if f" {name}]" in text]
        assert said == [f"half a line of {name} token=[redacted]", "from a task", "the end"]
    assert real.getvalue() == "from nobody\n"


class Heard(logging.Handler):
    def __init__(self, texts: list[str]) -> None:
        super().__init__()
        self._texts = texts

    def emit(self, record: logging.LogRecord) -> None:
        self._texts.append(record.getMessage())


@virtual
async def test_a_failed_attempt_says_in_the_log_where_it_was(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    def look_up(words: dict[str, str]) -> str:
        return words["password=hunter22"]

    async def fails(context: StageContext) -> Word:
        return Word(text=look_up({}))

    async def hopeless(context: StageContext) -> Word:
        raise FinalError("its words are for the user")

    run_ids = [
        await rig.submit(workflow(stage("only", run, attempts_max=1), name=run.__name__)) for run in (fails, hopeless)
    ]
    with caplog.at_level(logging.INFO, "penstock_runner.stage"):
        rig.start(*(workflow(stage("only", run, attempts_max=1), name=run.__name__) for run in (fails, hopeless)))
        await rig.until_ended(*run_ids, state=FAILED)
    (told,) = (record.getMessage() for record in caplog.records if record.name == "penstock_runner.stage")
    assert told.startswith(f'[{run_ids[0]} only] Traceback (most recent call last):\n  File "{__file__}"')
    assert "in look_up" in told
    assert told.endswith("KeyError: 'password=[redacted]'")


def test_of_a_long_traceback_the_log_holds_the_last_lines() -> None:
    lines = [f"line {number}" for number in range(1000)]
    shown = end_of("\n".join([*lines, "x" * 10_000, "the end", ""])).split("\n")
    assert shown[0] == "…"
    assert shown[-3:] == ["line 999", "… (10000 characters)", "the end"]
    assert len("\n".join(shown)) <= SHOWN_CHARS_MAX
    assert end_of("two\nlines\n") == "two\nlines"


@virtual
async def test_an_error_of_several_says_what_each_is_and_a_final_one_among_them_is_final(rig: Rig) -> None:
    async def fails(context: StageContext) -> Word:
        raise ExceptionGroup("two calls", [OSError("no route"), ExceptionGroup("one", [FinalError("no such account")])])

    one = workflow(stage("only", fails))
    run_id = await rig.submit(one)
    rig.start(one)
    await rig.until_ended(run_id, state=FAILED)
    (failed,) = of_type(await rig.story(run_id), "StageFailed")
    assert failed["message"] == "two calls (2 sub-exceptions): OSError: no route; FinalError: no such account"


class _Refusals(ExceptionGroup[OSError]):
    pass


@pytest.mark.parametrize("final", [ExceptionGroup, _Refusals, OSError])
def test_an_error_is_final_for_what_it_is_and_for_what_is_in_it_at_any_depth(final: type[Exception]) -> None:
    inner = _Refusals("both", [OSError("no"), OSError("never")])
    assert is_final(inner, (final,))
    assert is_final(ExceptionGroup("two calls", [KeyError("x"), inner]), (final,))
    assert not is_final(inner, (KeyError,))


@virtual
async def test_the_error_of_a_stage_is_kept_without_its_secrets(rig: Rig) -> None:
    async def fails(context: StageContext) -> Word:
        raise FinalError("refused for AKIAABCDEFGHIJKLMNOP")

    one = workflow(stage("only", fails))
    run_id = await rig.submit(one)
    rig.start(one)
    await rig.until_ended(run_id, state=FAILED)
    assert of_type(await rig.story(run_id), "RunFailed")[0]["message"] == "refused for [redacted]"
