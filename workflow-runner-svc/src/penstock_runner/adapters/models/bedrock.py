"""Amazon Bedrock: the Converse API, whose answer is taken as the input of a tool with the document's schema."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from penstock_backbone.errors import Fatal
from penstock_runner.workflows.building.service.chat import (
    ANSWER_SECONDS_MAX,
    OUTPUT_TOKENS_MAX,
    REPLY_BYTES_MAX,
    SILENCE_SECONDS_MAX,
    Busy,
    Question,
    Reply,
    Unusable,
    joined,
)

TOOL = "answer"
CONNECTIONS_KEPT = 50
_LATER = frozenset({
    "ThrottlingException", "TooManyRequestsException", "ServiceUnavailableException", "InternalServerException",
    "ModelTimeoutException", "ModelNotReadyException", "ModelStreamErrorException", "ServiceQuotaExceededException",
    "ModelErrorException",
})  # fmt: skip
_OPTIONS = {
    "toolConfig": re.compile(r"tool", re.IGNORECASE),
    "inferenceConfig": re.compile(r"max(imum)?[ _]?(output[ _]?)?tokens", re.IGNORECASE),
}
"""What some models cannot do, or not as much of, and how their refusals speak of it. The prompt says all the same what is
wanted, and without a limit of tokens the model's own holds."""
_CUT_OFF = frozenset({"max_tokens", "model_context_window_exceeded"})
_DECLINED = {"guardrail_intervened": "a guardrail stopped it", "content_filtered": "its filter stopped it"}


class Bedrock:
    """A ChatModel. `region` None: where boto3 looks for it, as for credentials."""

    def __init__(self, model: str, region: str | None = None, endpoint: str | None = None) -> None:
        self.name = model
        self._without: frozenset[str] = frozenset()
        config = Config(
            retries={"total_max_attempts": 1},
            connect_timeout=10,
            read_timeout=SILENCE_SECONDS_MAX,
            max_pool_connections=CONNECTIONS_KEPT,
        )
        try:
            self._client = boto3.client("bedrock-runtime", region_name=region, endpoint_url=endpoint, config=config)
        except NoRegionError as error:
            raise Fatal(
                "no AWS region is set for Bedrock: set AWS_REGION, for example AWS_REGION=eu-central-1"
            ) from error

    async def ask(self, question: Question) -> Reply:
        given_up = threading.Event()
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                return await _in_own_thread(lambda: self._converse(question, given_up))
        except TimeoutError as error:
            raise Busy(f"{self.name} did not finish within {ANSWER_SECONDS_MAX:g} s") from error
        finally:
            given_up.set()

    def _converse(self, question: Question, given_up: threading.Event) -> Reply:
        for _ in range(1 + len(_OPTIONS)):
            without = self._without
            try:
                answer = self._client.converse_stream(**self._request(question, without))
                with contextlib.closing(answer["stream"]) as stream:
                    return _reply(stream, given_up)
            except ClientError as error:
                refused = _refused_option(error, without)
                if refused is None:
                    raise self._meaning(error) from error
                self._without |= {refused}
            except NoCredentialsError as error:
                raise Unusable(
                    "There are no AWS credentials for Bedrock: give the runner a role or a profile."
                ) from error
            except BotoCoreError as error:
                raise Busy(f"{self.name} cannot be reached, or broke off: {error}") from error
        raise AssertionError("without options, none is refused")

    def _request(self, question: Question, without: frozenset[str]) -> dict[str, Any]:
        """`without`: the options that are left out. Others may learn of more meanwhile."""
        description = f"Takes the finished {question.name}."
        schema = {"json": dict(question.schema)}
        options = {
            "inferenceConfig": {"maxTokens": OUTPUT_TOKENS_MAX},
            "toolConfig": {
                "tools": [{"toolSpec": {"name": TOOL, "description": description, "inputSchema": schema}}],
                "toolChoice": {"tool": {"name": TOOL}},
            },
        }
        return {
            "modelId": self.name,
            "system": [{"text": question.system_with_schema() if "toolConfig" in without else question.system}],
            "messages": [{"role": turn.role, "content": [{"text": turn.text}]} for turn in question.turns],
            **{name: value for name, value in options.items() if name not in without},
        }

    def _meaning(self, error: ClientError) -> Exception:
        code = error.response["Error"].get("Code", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in _LATER or status in (429, 503) or status >= 500:
            return Busy(f"{self.name} answers {code or status} at the moment")
        if code == "AccessDeniedException":
            return Unusable(
                f"Bedrock does not let this role use {self.name}: allow bedrock:InvokeModelWithResponseStream, "
                "and request access to the model in this region."
            )
        if code == "ResourceNotFoundException":
            return Unusable(f"Bedrock has no model {self.name} in this region: correct PENSTOCK_MODEL or AWS_REGION.")
        return Unusable(f"Bedrock refuses the request ({code}): {error.response['Error'].get('Message', '')[:300]}")


def _refused_option(error: ClientError, without: frozenset[str]) -> str | None:
    if error.response["Error"].get("Code") != "ValidationException":
        return None
    message = error.response["Error"].get("Message", "")
    return next((name for name, named in _OPTIONS.items() if name not in without and named.search(message)), None)


async def _in_own_thread(wait: Callable[[], Reply]) -> Reply:
    """The loop's pool has a few threads, which files need, too; and the process may end while this one still waits."""
    loop = asyncio.get_running_loop()
    heard: asyncio.Future[Reply] = loop.create_future()

    def settle(reply: Reply | None, error: Exception | None) -> None:
        if heard.done():
            return
        if reply is None:
            assert error is not None
            heard.set_exception(error)
        else:
            heard.set_result(reply)

    def listen() -> None:
        reply, error = None, None
        try:
            reply = wait()
        except Exception as raised:  # noqa: BLE001  # whatever it is, whoever asked is told
            error = raised
        # The loop may be closed: nobody waits any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, reply, error)

    threading.Thread(target=listen, name="penstock-bedrock", daemon=True).start()
    return await heard


def _events(stream: Any) -> Iterator[Any]:
    try:
        yield from stream
    except Exception as error:  # wrong frames, exceptions as events, and what urllib3 raises and botocore lets through
        raise Busy(f"the model broke off in the middle of its answer: {error}") from error


def _reply(stream: Any, given_up: threading.Event) -> Reply:
    """What is written into the tool's input; of a model that only talks, what it says."""
    written: list[str] = []
    said: list[str] = []
    stop, size = None, 0
    usage: dict[str, Any] = {}
    for event in _events(stream):
        if given_up.is_set():
            raise Busy("nobody waits for the answer any more")
        if "contentBlockDelta" in event:
            delta = event["contentBlockDelta"]["delta"]
            in_tool = "toolUse" in delta
            piece = delta["toolUse"]["input"] if in_tool else delta.get("text", "")
            size += len(piece)
            if size > REPLY_BYTES_MAX:
                raise Unusable("The model's answer is too long to be a document.")
            (written if in_tool else said).append(piece)
        elif "messageStop" in event:
            stop = event["messageStop"]["stopReason"]
        elif "metadata" in event:
            usage = event["metadata"].get("usage", {})
    if stop is None:
        raise Busy("the model broke off in the middle of its answer")
    text = joined(written) or joined(said)
    return Reply(
        text, usage.get("inputTokens"), usage.get("outputTokens"), stop not in _CUT_OFF, _DECLINED.get(stop)
    )  # fmt: skip
