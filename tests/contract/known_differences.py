"""Where an emulator does not do what AWS does: the one table behind KNOWN_DIFFERENCES.md.

`python -m tests.contract.known_differences` writes that file anew.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest
from tests.contract.rigs import MotoBroke
from tests.contract.spared import SPARED

from penstock_backbone.errors import TooLarge

Test: TypeAlias = Callable[..., Awaitable[None]]

PAGE = Path(__file__).with_name("KNOWN_DIFFERENCES.md")


NOT_REFUSED = pytest.fail.Exception
"""pytest.raises has waited for an error in vain."""
OTHER_ANSWER = AssertionError


@dataclass(frozen=True)
class Difference:
    """`raises`: the test runs and must fail with this, so that a mended emulator is noticed; None: it is skipped."""

    reason: str
    raises: type[BaseException] | None


def failing(test: Test, difference: Difference) -> Test:
    """As a strict xfail, without the cost of a traceback through all of botocore for each."""
    expected = difference.raises
    assert expected is not None

    async def fails(**arguments: object) -> None:
        try:
            await test(**arguments)
        except expected:
            mended = False
        else:
            mended = True
        if mended:
            pytest.fail(
                f"The emulator has been mended: take this entry out of KNOWN_DIFFERENCES. It said: {difference.reason}"
            )
        raise pytest.xfail.Exception(difference.reason, pytrace=False)

    return fails


def _fails(engine: str, raises: type[BaseException], reason: str, *tests: str) -> dict[tuple[str, str], Difference]:
    return {(engine, test): Difference(reason, raises) for test in tests}


def _skipped(engine: str, reason: str, *tests: str) -> dict[tuple[str, str], Difference]:
    return {(engine, test): Difference(reason, None) for test in tests}


def _cases(test: str, *cases: str) -> tuple[str, ...]:
    return tuple(f"{test}[{case}]" for case in cases)


_MINISTACK = (
    _fails(
        "ministack",
        OTHER_ANSWER,
        "PutEvents checks nothing: neither that a detail is JSON nor its size. The engine checks before it sends.",
        "test_an_event_whose_detail_is_not_json_is_refused",
        "test_an_event_over_a_megabyte_is_refused",
    )
    | _skipped(
        "ministack",
        "BatchGetItem gives everything at once, whatever its size, so the engine's second round is never needed "
        "(18 MB are too much to try each time).",
        "test_a_batch_of_more_than_sixteen_megabytes_is_answered_in_part",
    )
    | _fails(
        "ministack",
        NOT_REFUSED,
        "An update may name one path twice. The engine refuses it before it sends.",
        "test_one_path_twice_in_an_update_is_refused",
    )
    | _fails(
        "ministack",
        NOT_REFUSED,
        "In a transaction an update through an attribute that is no map does nothing, and the rest is committed.",
        "test_an_update_through_what_is_no_map_stops_its_transaction",
    )
    | _fails(
        "ministack",
        NOT_REFUSED,
        "Removing what is inside of an attribute that is no map is no error.",
        "test_removing_through_what_is_no_map_is_refused",
    )
    | _fails(
        "ministack",
        NOT_REFUSED,
        "A query may filter on a key. The engine filters nothing.",
        "test_a_filter_on_a_key_of_the_table_is_refused",
    )
    | _fails(
        "ministack",
        OTHER_ANSWER,
        "An update by PartiQL leaves no record on the stream. On an emulator the engine uses no statements.",
        "test_an_update_by_statement_is_on_the_stream",
    )
    | _fails(
        "ministack",
        OTHER_ANSWER,
        "Deleting a message that is gone is an error, where SQS says that it succeeded. The engine ignores it.",
        "test_a_message_may_be_deleted_twice",
    )
    | _fails(
        "ministack",
        NOT_REFUSED,
        "A message may be hidden for longer than twelve hours. The engine never asks for more.",
        "test_a_message_may_be_hidden_for_twelve_hours_and_no_longer",
    )
)

_TRANSACTIONS = (
    "test_every_part_of_a_transaction_is_applied",
    "test_one_false_condition_cancels_them_all_and_each_part_has_its_reason",
    "test_the_reason_stands_at_the_place_of_its_part",
    "test_a_failed_check_alone_stops_everything_and_shows_what_it_saw",
    "test_an_update_in_a_transaction_never_creates_an_item",
    "test_conditions_see_what_stood_before_the_transaction",
    "test_no_key_twice_not_even_to_check_it",
    "test_a_hundred_parts_are_one_transaction",
    "test_a_hundred_and_one_parts_are_refused",
    "test_a_part_that_cannot_be_done_stops_them_all",
    "test_an_item_that_is_too_large_stops_them_all",
    "test_a_transaction_may_be_nearly_four_megabytes",
    "test_a_transaction_over_four_megabytes_is_refused_and_nothing_is_written",
    "test_a_repeated_transaction_is_cancelled_with_its_own_result",
    "test_more_than_a_thousand_items_take_more_than_one_page",
)
_RACES = (
    "test_of_twenty_claimers_of_one_item_one_wins_and_the_others_see_who",
    "test_of_twenty_creators_of_one_item_one_wins",
    "test_of_twenty_batches_that_want_the_same_items_each_item_goes_to_one",
    "test_twenty_writers_who_add_five_times_make_a_hundred",
    "test_five_places_are_given_to_five_of_twenty",
    "test_money_moved_by_many_is_neither_made_nor_lost",
    "test_a_cancelled_transaction_takes_nobody_elses_write_back",
    "test_receivers_share_a_queue_and_each_message_goes_to_one",
)
_FALSE_CONDITION = "test_a_false_condition_refuses_it_with_what_stands_there"

_MOTO = (
    _skipped(
        "moto",
        "A transaction copies whole tables, and when it is cancelled puts them back over other writers' work "
        "(and takes seconds for a hundred parts).",
        *_TRANSACTIONS,
    )
    | _skipped(
        "moto",
        "Several threads break it: a semaphore of five lets more through, increments get lost, a message goes to two.",
        *_RACES,
    )
    | _skipped(
        "moto",
        "A hundred messages take it several seconds, and ministack shows the same.",
        "test_a_full_batch_is_sent_received_and_deleted",
        "test_a_full_batch_is_published",
    )
    | _fails(
        "moto",
        OTHER_ANSWER,
        "A write that changes nothing is told on the stream.",
        "test_what_changed_nothing_leaves_no_record",
        "test_what_a_program_writes_again_unchanged_is_not_told",
    )
    | _fails(
        "moto",
        OTHER_ANSWER,
        "What a cancelled transaction did before its false condition stays on the stream.",
        "test_a_program_of_everything_is_told_as_the_memory_engine_tells_it",
    )
    | _fails(
        "moto",
        OTHER_ANSWER,
        "An attribute that is not there equals null.",
        *_cases(_FALSE_CONDITION, "Equals(path='gone', value=None)"),
        *_cases("test_a_condition_on_nothing", "Equals(path='nothing', value=None)-False"),
    )
    | _fails(
        "moto",
        OTHER_ANSWER,
        "True equals 1 and False equals 0.",
        *_cases(
            _FALSE_CONDITION,
            "Equals(path='yes', value=1)",
            "Equals(path='no', value=0)",
            "Equals(path='zero', value=False)",
            "Equals(path='typed', value=[1, {'n': 1}])",
            "Equals(path='typed', value=[True, {'n': True}])",
            "Equals(path='map', value={'in': {'deep': True}, 'text': 'x'})",
        ),
    )
    | _fails(
        "moto",
        OTHER_ANSWER,
        "A boolean is smaller or larger than a number, where the condition should be false.",
        *_cases(
            _FALSE_CONDITION,
            "Less(path='yes', value=5)",
            "Less(path='no', value=5)",
            "Greater(path='yes', value=0)",
        ),
    )
    | _fails(
        "moto",
        MotoBroke,
        "It breaks on a comparison of different types, where the condition should be false.",
        *_cases(
            _FALSE_CONDITION,
            "Less(path='number', value='9')",
            "Less(path='text', value=99)",
            "Less(path='raw', value='z')",
            "Less(path='list', value=9)",
            "Less(path='map', value='z')",
            "Greater(path='number', value='1')",
            "Greater(path='text', value=1)",
            "Greater(path='raw', value='')",
            "Greater(path='list', value=0)",
            "Greater(path='map', value='')",
        ),
    )
    | _fails(
        "moto",
        TooLarge,
        "It counts an item's size in another way, and refuses 399 KB.",
        "test_an_item_may_fill_the_limit_to_the_last_byte",
        "test_bytes_are_counted_and_not_characters",
        "test_an_update_may_grow_an_item_up_to_the_limit_and_not_beyond",
    )
    | _fails(
        "moto",
        NOT_REFUSED,
        "An item may grow beyond 400 KB by an update, or by what it holds in maps, lists and numbers.",
        "test_maps_lists_and_numbers_count_for_something",
        "test_an_item_may_grow_by_many_small_updates_and_stops_at_the_limit",
    )
    | _fails(
        "moto",
        NOT_REFUSED,
        "An indexed attribute may have any type.",
        "test_an_indexed_attribute_is_text_or_absent",
    )
    | _fails(
        "moto",
        OTHER_ANSWER,
        "An event at a queue does not say from which account it is.",
        "test_an_event_at_a_queue_has_eventbridges_shape",
    )
    | _skipped(
        "moto",
        "The receipt of an earlier delivery still deletes the message (found by waiting two seconds in vain).",
        "test_a_receipt_that_has_expired_settles_nothing",
    )
    | _fails(
        "moto",
        NOT_REFUSED,
        "An update through an attribute that is no map is no error.",
        *_cases("test_a_path_through_what_is_no_map_is_refused_and_changes_nothing", "text/x", "nothing/x", "list/0"),
        "test_an_update_through_what_is_no_map_stops_its_transaction",
    )
    | _fails(
        "moto",
        MotoBroke,
        "It breaks when something is removed from an attribute that is no map.",
        *_cases("test_removing_through_what_is_no_map_is_refused", "text/x", "nothing/x", "list/0"),
    )
    | _skipped(
        "moto",
        "It does answer in part; test_a_full_batch_of_large_items_is_read_in_one_call shows it through the port.",
        "test_a_batch_of_more_than_sixteen_megabytes_is_answered_in_part",
    )
    | _fails("moto", OTHER_ANSWER, "PutEvents has no limit of size.", "test_an_event_over_a_megabyte_is_refused")
    | _fails("moto", NOT_REFUSED, "A query may filter on a key.", "test_a_filter_on_a_key_of_the_table_is_refused")
    | _fails(
        "moto",
        NOT_REFUSED,
        "An update by PartiQL whose condition is false is applied all the same.",
        "test_an_update_by_statement_obeys_its_condition",
    )
    | _fails(
        "moto",
        OTHER_ANSWER,
        "ClientRequestToken is ignored: what is sent twice is applied twice.",
        "test_a_transaction_sent_twice_under_one_token_is_applied_once",
    )
    | _fails(
        "moto",
        NOT_REFUSED,
        "ClientRequestToken is ignored: another transaction may have it too.",
        "test_a_token_used_for_another_transaction_is_refused",
    )
)

KNOWN_DIFFERENCES: dict[tuple[str, str], Difference] = _MINISTACK | _MOTO
"""(engine, name of the test, perhaps with one case of it) → why it fails there."""

_INTRODUCTION = """\
# Where the emulators are wrong

The contract suites run over every engine. What follows are the tests that an emulator does not pass, with the reason;
each test is the repro: `pytest tests/contract -k "<test> and <engine>"`. The memory and embedded engines have no entry,
and may have none.

*fails* — the test runs and must fail in this way: when it passes, the emulator has been mended and the entry goes.
*skipped* — not tried: it would be slow, or fails only sometimes.

Written from `known_differences.py` by `python -m tests.contract.known_differences`.
"""

_GENERATED = """\
## What generated programs leave out

Programs of `programs.py` and `stream_programs.py` run on the emulators too. A step is left out where one of these would
show in it, as `spared.py` tells from the items that stand there, and only then.
"""

ENGINES = tuple(dict.fromkeys(engine for engine, _ in KNOWN_DIFFERENCES))

_HERE: dict[type[BaseException] | None, str] = {
    None: "skipped",
    NOT_REFUSED: "fails: nothing is refused",
    OTHER_ANSWER: "fails: the answer is another",
    MotoBroke: "fails: moto's own code raises",
    TooLarge: "fails: it is refused as too large",
}


def as_markdown() -> str:
    """The page: one section an emulator, one row a reason."""
    sections = [_INTRODUCTION]
    for engine in ENGINES:
        tests: dict[Difference, list[str]] = {}
        for (of, test), difference in KNOWN_DIFFERENCES.items():
            if of == engine:
                tests.setdefault(difference, []).append(test)
        rows = [
            f"| {difference.reason} | {_HERE[difference.raises]} | {_listed(names)} |"
            for difference, names in tests.items()
        ]
        sections.append(
            "\n".join([f"## {engine}\n", "| what it does | here | tests |", "| --- | --- | --- |", *rows, ""])
        )
    rows = [
        f"| {engine} | {spare.reason} | {_listed(list(spare.repros))} |"
        for engine in ENGINES
        for spare in SPARED[engine]
    ]
    sections.append(
        "\n".join([_GENERATED, "| | what it does | tests that show it |", "| --- | --- | --- |", *rows, ""])
    )
    return "\n".join(sections)


def _listed(tests: list[str]) -> str:
    return "<br>".join(f"`{test}`" for test in tests)


if __name__ == "__main__":
    PAGE.write_text(as_markdown(), encoding="utf-8")
