"""What people really ask for, in their languages, and what only the hostile send."""

from __future__ import annotations

SAID: dict[str, tuple[str, str]] = {
    # name of the case: (project name, requirement)
    "pubmed": ("PubMed 文献助手", "创建一个能够搜索和分析 PubMed 医学文献的智能助手"),
    "documents": (
        "文档摘要",
        "帮我构建一个可以自动读取 PDF、Word、Markdown 等多种格式文件，并输出结构化摘要的 Agent，要包含关键要点、风险提示以及可执行建议。",
    ),
    "download": ("", "我需要一个工具，能够从指定的URL下载文件并保存到本地"),
    "serpapi": ("", "需要为 news_retrieval_agent 添加 SerpAPI 数据源支持，并更新相关提示词"),
    "greeting": ("", "Test API verification - create a simple greeting agent"),
    "story": ("短篇小说", "我想要一个我输入一个场景和关键词，就可以返回给我一个短篇小说的agent"),
    "aws quote": (
        "AWS 报价助手",
        (
            "请创建一个用于AWS产品报价工作的Agent，我需要他帮我完成AWS产品报价工作，我会提供自然语言描述的资源和配置要求。\n"
            "1.能够根据用户提供的描述推荐合理的AWS服务和配置\n2.能够获取实时的按需和预留实例价格\n"
            "3.能够支持多区域：包括“中国区”和【全球区】\n4.能够给出详细的报价表格（含合计）\n5.能够支持多种货币\n6.回答要专业"
        ),
    ),
    "stocks": ("Stock watch", "Analyse stock prices from CSV files: trend, average, and a weekly report with risks."),
    "masking": ("数据脱敏工具", "开发一个数据脱敏工具，识别并隐藏身份证、手机号、邮箱等敏感信息"),
    "topology": ("Neo4j 网络拓扑", "读取网络设备日志，分析故障，生成拓扑，并写入 Neo4j 数据库"),
    "clinical": ("临床试验", "临床试验方案检索：输入疾病名称，返回相关试验，含入组标准；给出要点与风险"),
    "feedback": ("", "Judge customer feedback and reviews by sentiment and list the complaints"),
    "meeting": ("Meeting minutes", 'Turn "meeting notes" into minutes: key points, action items, and deadlines'),
    "translate": (
        "Übersetzer",
        "Erstelle einen Agenten, der Dokumente liest und eine Zusammenfassung auf Deutsch schreibt",
    ),
    "french": (
        "Générateur de devis",
        "Je veux un agent qui crée un devis à partir d'un tarif et rédige un résumé pour le client",
    ),
    "spanish": ("", "Necesito un agente que busque en los archivos y responda a las preguntas de los clientes"),
    "japanese": (
        "議事録アシスタント",
        "会議の議事録を要約し、タスクとリスクを一覧にするエージェントを作ってください。",
    ),
    "korean": ("회의록 요약", "회의록을 요약하고 할 일을 정리하는 에이전트를 만들어 주세요."),
    "russian": ("Помощник", "Создай помощника, который читает документы и делает краткое изложение."),
    "arabic": ("مساعد", "أنشئ مساعدًا يقرأ المستندات ويلخصها باللغة العربية من فضلك"),
    "mixed": ("客服 Bot", "Build a 客服 chatbot：answer FAQ from 知识库, 语气 friendly 😀, and send email when stuck"),
    "shortest": ("", "0123456789"),
    "emoji": ("🚀🚀", "😀😃😄😁😆😅🤣😂🙂🙃😉😊👨‍👩‍👧‍👦🏳️‍🌈"),
    "signs": ("???", "!!!???...,,,;;;:::---"),
    "longest": ("长需求", ('分析日志并统计错误。Write a summary of each "incident"!\n' * 240)[:10_000]),
    "one long line": ("", "数据分析" * 2500),
    "spaces": ("", "a" + " " * 9990 + "b"),
    "triple quotes": ('"""', "\"\"\"\nimport os; os.system('x')\n\"\"\" ''' \\\"\"\" r'''\\''' please summarise files"),
    "backslashes": ("\\", "C:\\new\\table\\x41\\u0041\\N{DIGIT ONE} \\\\ \\ end with a backslash \\"),
    "braces": (
        "{0}",
        "{0} {name} {{blank}} {requirement!r:>{width}} %s %(x)s ${HOME} $(id) `id` make a template filler",
    ),
    "paths": (
        "../../etc/passwd",
        "../../../etc/passwd C:\\Windows\\System32 /var/lib/secrets/id_rsa summarise this file",
    ),
    "device": ("con", "aux nul com1 prn create a todo list with tasks"),
    "keyword": ("class", "class def import None True lambda: build a checklist"),
    "module": ("json", "json tests pytest os sys: parse JSON documents"),
    "controls": (
        "a\x00b\x1b[31m",
        "null \x00 escape \x1b[31m bell \x07 back \x08 line\u2028sep\u2029 nel\x85 return\r\n\r keywords",
    ),
    "directions": (
        "\u202eevil",
        "right to left \u202e gnp.exe \u2066 isolated \u2069 \ufeff mark \u200b find keywords in documents",
    ),
    "markdown": (
        "# <script>alert(1)</script>",
        "```\n# head\n````\n<img src=x onerror=alert(1)> [a](javascript:b) | write a blog",
    ),
    "toml": ('name"\n[tool.x]\n', 'description = "x"\n[project]\nname = "y" # write an email\n\'\'\''),
    "digits first": ("2024 计划 3000", "2024 年度计划：安排任务和日期提醒，共 3000 项"),
    "astral": ("𝕏𝕐 ａｂｃ", "ＦＵＬＬ　ＷＩＤＴＨ 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𠮷野家 extract keywords from reviews"),
}
