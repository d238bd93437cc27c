"""Counts days between dates and moves dates forwards and back."""

from __future__ import annotations

import calendar
import re
from datetime import date, timedelta

from .desk import Desk, ToolError
from .text import in_language_of

WORDS = (
    "date ", "dates", "days", "weeks", "months", "calendar", "deadline", "schedule", "remind", "holiday", "appointment", "birthday",
    "日期", "日程", "天数", "几天", "多少天", "日历", "截止", "提醒", "倒计时", "假期", "预约", "生日", "排班", "スケジュール", "fecha",
    "calendrier", "kalender", "termin",
)  # fmt: skip
EXAMPLES = (
    "How many days from 2026-01-01 to 2026-03-01?",
    "2026年1月1日 到 2026年3月1日 是多少天的日期差？",
)

_DATE = re.compile(r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*日?")
_TODAY = re.compile(r"\btoday\b|今天|今日", re.IGNORECASE)
_STEP = re.compile(
    r"([+-]|plus|minus|in|after|before)?\s*(\d{1,4})\s*个?\s*(days?|weeks?|months?|years?|天|日|周|星期|月|年)\s*(后|前|ago|later|before)?",
    re.IGNORECASE,
)
_UNITS = {"d": "days", "w": "weeks", "m": "months", "y": "years", "天": "days", "日": "days", "周": "weeks",
          "星": "weeks", "月": "months", "年": "years"}  # fmt: skip


def shift(start: date, count: int, unit: str) -> date:
    """`unit` is days, weeks, months or years; a day that the month lacks becomes the month's last."""
    if unit in {"days", "weeks"}:
        return start + timedelta(days=count * (7 if unit == "weeks" else 1))
    months = start.year * 12 + start.month - 1 + count * (12 if unit == "years" else 1)
    year, month = divmod(months, 12)
    return date(year, month + 1, min(start.day, calendar.monthrange(year, month + 1)[1]))


def dates_in(text: str, today: date) -> list[date]:
    """The real dates a text names, in order; "today" counts as one."""
    found: list[tuple[int, date]] = [(match.start(), today) for match in _TODAY.finditer(text)]
    for match in _DATE.finditer(text):
        try:
            found.append((match.start(), date(*(int(part) for part in match.groups()))))
        except ValueError:
            continue
    return [day for _, day in sorted(found)]


def calculate(text: str, today: date) -> str:
    days = dates_in(text, today)
    step = _STEP.search(_DATE.sub(" ", text))
    if len(days) >= 2:
        return in_language_of(text, f"{(days[1] - days[0]).days} days", f"{(days[1] - days[0]).days} 天")
    if not days and step is None:
        raise ToolError("There is no date in the request. Give one such as 2026-05-01.")
    start = days[0] if days else today
    if step is None:
        return f"{start.isoformat()} {start:%A}{_from_today(text, (start - today).days)}"
    before, count, unit, after = step.groups()
    back = (before or "").lower() in {"-", "minus", "before"} or (after or "").lower() in {"前", "ago", "before"}
    try:
        moved = shift(start, -int(count) if back else int(count), _UNITS[unit[0].lower()])
    except (ValueError, OverflowError) as error:
        raise ToolError("That is beyond the calendar. Ask for a nearer date.") from error
    return f"{moved.isoformat()} {moved:%A}"


def _from_today(text: str, days: int) -> str:
    if days == 0:
        return ""
    return in_language_of(
        text,
        f", in {days} days" if days > 0 else f", {-days} days ago",
        f"，{abs(days)} 天{'后' if days > 0 else '前'}",
    )


def answer(request: str, desk: Desk) -> str:
    return calculate(request, desk.today)
