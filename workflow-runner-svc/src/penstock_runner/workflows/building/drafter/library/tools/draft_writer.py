"""Writes the first draft of a story, an advertisement, a mail or an article around given words, from patterns."""

from __future__ import annotations

from .desk import Desk, ToolError
from .keywords import extract
from .text import in_language_of, is_chinese

WORDS = (
    "write", "writing", "story", "novel", "copywrit", "advert", "slogan", "blog", "email", "social post", "video script", "content",
    "creative", "poem", "marketing", "写", "小说", "故事", "文案", "广告", "邮件", "脚本", "创作", "剧本", "诗", "营销", "短篇", "推文",
    "小红书", "公众号", "物語", "小説", "escrib", "historia", "écri", "histoire", "schreib", "geschichte",
)  # fmt: skip
EXAMPLES = (
    "Write a story: a lighthouse, an old radio and a storm",
    "写一个故事：灯塔、旧收音机和暴风雨",
)

_STORY, _ADVERTISEMENT, _MAIL, _ARTICLE = "story", "advertisement", "mail", "article"
_KINDS = (
    (_ADVERTISEMENT, ("advert", "slogan", "marketing", "copywrit", "文案", "广告", "营销", "小红书")),
    (_MAIL, ("mail", "letter", "邮件", "信")),
    (_STORY, ("story", "novel", "tale", "script", "故事", "小说", "剧本", "短篇", "脚本")),
)
_PATTERNS = {
    (_STORY, False): (
        "Nobody had spoken of {0} for years. That changed on the evening when {1} appeared.",
        "At first it seemed to be chance. Then {2} showed that the two belonged together.",
        "There was a choice to make: keep {0}, or give it up for {1}.",
        "In the morning only {2} was left, and with it a reason to begin again.",
    ),
    (_STORY, True): (
        "已经很多年没有人提起{0}了。直到那天傍晚，{1}出现在眼前。",
        "起初大家以为只是巧合，后来{2}让人明白，这一切本来就连在一起。",
        "必须做出选择：留住{0}，还是为了{1}放手。",
        "天亮的时候，只剩下{2}，以及重新开始的理由。",
    ),
    (_ADVERTISEMENT, False): ("{0}, made for your day.", "Why choose between {1} and {2}? Have both.", "Try {0} today."),
    (_ADVERTISEMENT, True): ("{0}，为你的每一天而来。", "{1}和{2}，不必二选一。", "现在就来体验{0}！"),
    (_MAIL, False): ("Subject: {0}", "Hello,", "I am writing about {0}. It concerns {1} and {2}.", "Kind regards"),
    (_MAIL, True): ("主题：{0}", "您好：", "特就{0}一事与您联系，其中涉及{1}和{2}。", "此致敬礼"),
    (_ARTICLE, False): ("{0}", "Whoever looks at {0} soon meets {1}.", "What matters is {2}.", "The next step: compare {1} with {2}."),
    (_ARTICLE, True): ("{0}", "谈到{0}，首先要看{1}。", "真正重要的是{2}。", "下一步：比较{1}与{2}。"),
}  # fmt: skip


def kind_of(request: str) -> str:
    lowered = request.lower()
    return next((kind for kind, words in _KINDS if any(word in lowered for word in words)), _ARTICLE)


def write(kind: str, about: list[str], *, chinese: bool) -> str:
    """`about` needs one to three words or phrases; with fewer than three the first is used again."""
    subjects = [about[index % len(about)] for index in range(3)]
    return "\n".join(line.format(*subjects) for line in _PATTERNS[kind, chinese])


def answer(request: str, desk: Desk) -> str:
    about = extract(desk.material(request, WORDS), 3)
    if not about:
        raise ToolError("There is nothing to write about. Put a few words after a colon.")
    note = in_language_of(request, "(first draft from a pattern)", "（由模板写出的初稿）")
    return f"{write(kind_of(request), about, chinese=is_chinese(request))}\n{note}"
