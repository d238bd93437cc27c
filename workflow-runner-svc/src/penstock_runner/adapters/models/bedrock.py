"""Amazon Bedrock: the Converse API, whose answer is taken as the input of a tool with the document's schema."""

from __future__ import annotations

import asyncio
from typing import Any

import boto3
from botocore.config import Config
from botocore.eventstream import ParserError
from botocore.exceptions import BotoCoreError, ClientError, EventStreamError, NoCredentialsError, NoRegionError

from penstock_backbone.errors import Fatal
from penstock_runner.workflows.building.service.chat import (
    OUTPUT_TOKENS_MAX,
    REPLY_BYTES_MAX,
    Busy,
    Question,
    Reply,
    Unusable,
)

SILENCE_SECONDS_MAX = 60
TOOL = "answer"
_LATER = frozenset({
    "ThrottlingException", "TooManyRequestsException", "ServiceUnavailableException", "InternalServerException",
    "ModelTimeoutException", "ModelNotReadyException", "ModelStreamErrorException", "ServiceQuotaExceededException",
    "throttlingException", "serviceUnavailableException", "internalServerException", "modelStreamErrorException",
})  # fmt: skip


class Bedrock:
    """A ChatModel. Asking waits in a thread, which the read timeout ends. `region` None: where boto3 looks for it, as for credentials."""

    def __init__(self, model: str, region: str | None = None, endpoint: str | None = None) -> None:
        self.name = model
        config = Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=SILENCE_SECONDS_MAX)
        try:
            self._client = boto3.client("bedrock-runtime", region_name=region, endpoint_url=endpoint, config=config)
        except NoRegionError as error:
            raise Fatal(
                "no AWS region is set for Bedrock: set AWS_REGION, for example AWS_REGION=eu-central-1"
            ) from error

    async def ask(self, question: Question) -> Reply:
        return await asyncio.to_thread(self._converse, question)

    def _converse(self, question: Question) -> Reply:
        try:
            answer = self._client.converse_stream(**self._request(question))
            return _reply(answer["stream"])
        except (EventStreamError, ParserError) as error:
            raise Busy(f"{self.name} broke off: {error}") from error
        except ClientError as error:
            raise self._meaning(error) from error
        except NoCredentialsError as error:
            raise Unusable("There are no AWS credentials for Bedrock: give the runner a role or a profile.") from error
        except BotoCoreError as error:
            raise Busy(f"{self.name} cannot be reached, or broke off: {error}") from error

    def _request(self, question: Question) -> dict[str, Any]:
        description = f"Takes the finished {question.name}."
        schema = {"json": dict(question.schema)}
        return {
            "modelId": self.name,
            "system": [{"text": question.system}],
            "messages": [{"role": turn.role, "content": [{"text": turn.text}]} for turn in question.turns],
            "inferenceConfig": {"maxTokens": OUTPUT_TOKENS_MAX},
            "toolConfig": {
                "tools": [{"toolSpec": {"name": TOOL, "description": description, "inputSchema": schema}}],
                "toolChoice": {"tool": {"name": TOOL}},
            },
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


def _reply(stream: Any) -> Reply:
    """Whatever is written into the tool's input; a model that talks instead is heard, too."""
    text, stop = [], None
    size = 0
    usage: dict[str, Any] = {}
    for event in stream:
        if "contentBlockDelta" in event:
            delta = event["contentBlockDelta"]["delta"]
            piece = delta["toolUse"]["input"] if "toolUse" in delta else delta.get("text", "")
            size += len(piece)
            if size > REPLY_BYTES_MAX:
                raise Unusable("The model's answer is too long to be a document.")
            text.append(piece)
        elif "messageStop" in event:
            stop = event["messageStop"]["stopReason"]
        elif "metadata" in event:
            usage = event["metadata"].get("usage", {})
    if stop is None:
        raise Busy("the model broke off in the middle of its answer")
    return Reply("".join(text), usage.get("inputTokens"), usage.get("outputTokens"), complete=stop != "max_tokens")
