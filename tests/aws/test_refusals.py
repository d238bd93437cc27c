"""Whether an entry that was refused may be taken later is told by AWS's code, and by who is to blame."""

from __future__ import annotations

import pytest
from tests.aws.fakes import NAMES, HastyClock, ScriptedCalls

from penstock_backbone.aws.bus import AwsBus
from penstock_backbone.aws.queues import AwsQueues
from penstock_backbone.inventory import DISPATCH_QUEUE, INVENTORY
from penstock_backbone.vocabulary import BusEntry, NotNow, Outgoing

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("code", "sort"),
    [
        ("ThrottlingException", NotNow),
        ("InternalFailure", NotNow),
        ("AccessDeniedException", NotNow),
        ("MalformedDetail", str),
        ("InvalidArgument", str),
    ],
)
async def test_an_event_is_refused_for_good_only_for_what_is_its_own_fault(code: str, sort: type) -> None:
    calls = ScriptedCalls({"Entries": [{"EventId": "1"}, {"ErrorCode": code, "ErrorMessage": "no"}]})
    taken, refused = await AwsBus(calls, NAMES).publish([BusEntry("penstock", "RunQueued", "{}")] * 2)
    assert (taken, refused) == (None, f"{code}: no")
    assert type(refused) is sort


@pytest.mark.parametrize(("sender_is_to_blame", "sort"), [(True, str), (False, NotNow)])
async def test_a_message_is_refused_for_good_only_where_its_sender_is_to_blame(
    *, sender_is_to_blame: bool, sort: type
) -> None:
    failed = {"Id": "0", "Code": "InternalError", "Message": "no", "SenderFault": sender_is_to_blame}
    calls = ScriptedCalls({"QueueUrl": "https://queue"}, {"Failed": [failed]})
    queues = AwsQueues(calls, NAMES, INVENTORY, HastyClock(), 20)
    (refused,) = await queues.send(DISPATCH_QUEUE, [Outgoing("{}")])
    assert refused == "InternalError: no"
    assert type(refused) is sort
