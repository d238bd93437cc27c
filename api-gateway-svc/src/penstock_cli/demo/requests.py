"""The ten things that the demo asks for, worded as people word them."""

from __future__ import annotations

from typing import NamedTuple


class Request(NamedTuple):
    """The body of a POST to /v1/projects, but for the workflow."""

    name: str
    requirement: str
    tags: tuple[str, ...] = ()
    priority: int = 3


REQUESTS = (
    Request(
        "invoice-reader",
        "Build an agent that reads the invoices people mail to us, picks out supplier, amount and due date, and "
        "returns them as a table. Ask back when a number is unreadable.",
        ("finance", "documents"),
    ),
    Request(
        "文献综述助手",
        "帮我做一个智能助手：输入一个医学主题，它能检索近三年的论文，按研究方法归类，并写出带引用的中文综述。",
        ("research", "医学"),
    ),
    Request(
        "support-triage",
        "I need an assistant for our help desk. It should:\n1. read a new ticket\n2. decide how urgent it is\n"
        '3. suggest the team ("billing", "network" or "accounts")\n4. draft a polite first answer',
        ("support",),
        priority=2,
    ),
    Request(
        "合同风险检查",
        "需要一个能读取 Word 和 PDF 合同的 Agent，找出【违约责任】【付款条件】【保密条款】中的风险点，逐条给出修改建议。",
        ("legal", "documents"),
    ),
    Request(
        "trail-planner",
        "Plan weekend hikes: given a town, the hours I have and how fit I am, propose three routes with the height "
        "to climb, the way there by train and what to pack for the weather.",
        ("travel",),
    ),
    Request(
        "库存预警",
        "请构建一个库存分析智能体：读取每天的销售表格，预测两周内会缺货的商品，并用一段话说明原因和建议的补货数量。",
        ("retail", "数据分析"),
    ),
    Request(
        "meeting-minutes",
        "Turn a meeting's transcript into minutes: decisions, open questions, and who does what until when. Keep "
        "each speaker's own language, we mix English and 中文 all the time.",
        ("office",),
    ),
    Request(
        "log-detective",
        "An agent that is given the log of a failed nightly job, explains in plain words what went wrong, and names "
        "the most likely cause first together with the lines that show it.",
        ("operations",),
        priority=1,
    ),
    Request(
        "短篇小说作家",
        "我想要一个写故事的agent：给它一个场景和三个关键词，它就写出一篇八百字左右、有转折的短篇小说。",
        ("writing",),
    ),
    Request(
        "price-watch",
        "Compare the prices of a shopping list between the shops I name, convert the currencies, and tell me where "
        "the whole basket is cheapest and what I lose by buying everything in one place.",
        ("shopping",),
        priority=4,
    ),
)
