"""What the log analysis tool promises, as tests that travel with every package that has it."""

from penstock_runner.workflows.building.drafter.library.tools.log_analysis import analyse

LOG = "t1 INFO started\nt2 ERROR disk 7 is full\nt3 ERROR disk 12 is full\nt4 WARNING slow\nt5 FATAL: stopped\n\nplain line"


def test_levels_are_counted() -> None:
    found = analyse(LOG)
    assert found.lines == 6
    assert found.levels == {"INFO": 1, "ERROR": 2, "WARN": 1, "FATAL": 1}


def test_messages_that_differ_only_in_numbers_are_one_group() -> None:
    assert analyse(LOG).groups == (("disk # is full", 2), ("stopped", 1))
