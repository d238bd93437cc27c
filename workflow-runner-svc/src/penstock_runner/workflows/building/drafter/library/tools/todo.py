"""Keeps a list of things to do."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .desk import Desk, ToolError
from .text import in_language_of

WORDS = (
    "todo", "to-do", "to do list", "task", "checklist", "planner", "planning", "organiz", "organis", "project manage", "assign",
    "待办", "任务", "清单", "计划", "事项", "规划", "安排", "流程", "分工", "タスク", "tarea", "tâche", "aufgabe",
)  # fmt: skip
EXAMPLES = (
    "Todo: repair the pump; paint the roof; !call the supplier",
    "待办：修水泵；刷屋顶；!联系供应商",
)

TASKS_MAX = 500
_BETWEEN = re.compile(r"[;；\n、]|,\s|，")
_DONE = re.compile(r"^\s*(?:\[x\]|done|完成)\s*[:：]?\s*", re.IGNORECASE)


@dataclass(slots=True)
class Task:
    text: str
    urgent: bool = False
    done: bool = False


@dataclass(slots=True)
class TodoList:
    """Urgent tasks come first, finished ones last; otherwise the order of adding stays."""

    tasks: list[Task] = field(default_factory=list)

    def add(self, text: str, *, urgent: bool = False) -> Task:
        if len(self.tasks) >= TASKS_MAX:
            raise ToolError(f"The list already has {TASKS_MAX} tasks. Finish some first.")
        task = Task(text.strip(), urgent)
        self.tasks.append(task)
        return task

    def finish(self, text: str) -> bool:
        """Marks the first open task of that text; False when there is none."""
        for task in self.tasks:
            if not task.done and task.text == text.strip():
                task.done = True
                return True
        return False

    def render(self) -> str:
        ordered = sorted(self.tasks, key=lambda task: (task.done, not task.urgent))
        return "\n".join(f"[{'x' if task.done else ' '}] {'! ' if task.urgent else ''}{task.text}" for task in ordered)


def parse(text: str) -> TodoList:
    """Tasks between semicolons, commas or lines; "!" marks an urgent one, "done" or "[x]" a finished one."""
    found = TodoList()
    for piece in _BETWEEN.split(text)[:TASKS_MAX]:
        plain = _DONE.sub("", piece).strip().removeprefix("[ ]").strip()
        urgent = plain.startswith(("!", "！"))
        plain = plain.lstrip("!！-*• ").strip()
        if plain:
            found.add(plain, urgent=urgent).done = bool(_DONE.match(piece))
    return found


def answer(request: str, desk: Desk) -> str:
    found = parse(desk.material(request, WORDS))
    if not found.tasks:
        raise ToolError("There are no tasks in the request. List them with semicolons between.")
    left = sum(not task.done for task in found.tasks)
    return f"{found.render()}\n{in_language_of(request, f'{left} to do', f'还有 {left} 项')}"
