"""What stages return and put, as it is stored, or why it cannot be."""

from __future__ import annotations

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from penstock_runner.authoring import FinalError, OutputModel

OUTPUT_BYTES_MAX = 4 * 1024 * 1024
ARTIFACT_BYTES_MAX = 64 * 1024 * 1024


def artifact_bytes(name: str, data: object) -> bytes:
    """What is to be stored under this name. Raises FinalError when it is too large."""
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"an artifact is bytes, and not {type(data).__name__}")
    checked = bytes(data)
    if len(checked) > ARTIFACT_BYTES_MAX:
        raise FinalError(f"The artifact {name} has {len(checked)} bytes, and {ARTIFACT_BYTES_MAX} are possible.")
    return checked


def outputs_from(text: bytes, model: type[OutputModel]) -> list[OutputModel]:
    """What the items of a stage with `each` returned, from its JSON text."""
    return TypeAdapter(list[model]).validate_json(text)  # type: ignore[valid-type]  # the type is made for this call


def text_of(output: object, model: type[BaseModel]) -> bytes:
    """Raises FinalError: the same code would return the same again. A number that is none, and whatever else JSON cannot
    say, is found here and not by the stage that needs it."""
    if not isinstance(output, model):
        raise FinalError(f"the stage returned {type(output).__name__} instead of {model.__name__}")
    try:
        text = output.model_dump_json(by_alias=True, round_trip=True).encode()
    except (PydanticSerializationError, UnicodeEncodeError) as error:
        raise FinalError(f"the output cannot be written as JSON: {error}") from error
    if len(text) > OUTPUT_BYTES_MAX:
        raise FinalError(f"the output has {len(text)} bytes and {OUTPUT_BYTES_MAX} are possible: put an artifact")
    try:
        model.model_validate_json(text)
    except ValidationError as invalid:
        first = invalid.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise FinalError(f"the output cannot be read back from its JSON: {place}: {first['msg']}") from invalid
    return text
