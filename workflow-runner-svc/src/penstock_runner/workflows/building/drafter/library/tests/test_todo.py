"""What the todo tool promises, as tests that travel with every package that has it."""

from penstock_runner.workflows.building.drafter.library.tools.todo import TodoList, parse


def test_urgent_tasks_come_first_and_finished_ones_last() -> None:
    found = parse("repair the pump; done: paint the roof; !call the supplier")
    assert found.render().splitlines() == ["[ ] ! call the supplier", "[ ] repair the pump", "[x] paint the roof"]


def test_chinese_lists_are_read() -> None:
    assert [task.text for task in parse("修水泵；刷屋顶，联系供应商").tasks] == ["修水泵", "刷屋顶", "联系供应商"]


def test_a_task_is_finished_once() -> None:
    tasks = TodoList()
    tasks.add("oil")
    assert tasks.finish("oil")
    assert not tasks.finish("oil")
    assert tasks.render() == "[x] oil"
