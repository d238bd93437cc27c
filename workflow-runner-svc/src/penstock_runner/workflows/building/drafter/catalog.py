"""The tools the drafter can choose from: what each is called in the languages it writes, and what goes with it."""

from __future__ import annotations

from dataclasses import dataclass

LANGUAGES = ("en", "zh", "ja", "es", "fr", "de")


@dataclass(frozen=True, slots=True)
class Card:
    """`titles` by language; `companions` join the tool when the requirement names nothing else."""

    titles: dict[str, str]
    companions: tuple[str, ...]

    def title(self, language: str) -> str:
        return self.titles.get(language, self.titles["en"])


def _card(titles: str, *companions: str) -> Card:
    return Card(dict(zip(LANGUAGES, titles.split(" | "), strict=True)), companions)


CARDS: dict[str, Card] = {
    "summary": _card(
        "summarises a text in its most telling sentences | 用最有代表性的句子概括文本 | 文章を重要な文で要約する"
        " | resume un texto con sus frases más reveladoras | résume un texte par ses phrases les plus parlantes"
        " | fasst einen Text in seinen aussagekräftigsten Sätzen zusammen",
        "keywords",
    ),
    "document_search": _card(
        "finds the passages that answer a question | 在文档中查找最能回答问题的段落 | 質問に答える箇所を文書から探す"
        " | encuentra los pasajes que responden a una pregunta | trouve les passages qui répondent à une question"
        " | findet die Stellen, die eine Frage beantworten",
        "summary", "keywords",
    ),
    "document_reader": _card(
        "reads text, Markdown, CSV, JSON, HTML and Word files | 读取文本、Markdown、CSV、JSON、HTML 和 Word 文件"
        " | テキスト、Markdown、CSV、JSON、HTML、Word のファイルを読む | lee archivos de texto, Markdown, CSV, JSON, HTML y Word"
        " | lit des fichiers texte, Markdown, CSV, JSON, HTML et Word | liest Text-, Markdown-, CSV-, JSON-, HTML- und Word-Dateien",
        "summary", "keywords",
    ),
    "key_points": _card(
        "sorts a text into points, risks and things to do | 把文本整理成要点、风险和建议 | 要点、リスク、行動に整理する"
        " | ordena un texto en puntos, riesgos y tareas | classe un texte en points, risques et actions"
        " | ordnet einen Text nach Punkten, Risiken und Aufgaben",
        "summary",
    ),
    "table_statistics": _card(
        "describes the number columns of a table | 统计表格中的数值列 | 表の数値列を集計する"
        " | describe las columnas numéricas de una tabla | décrit les colonnes de nombres d'un tableau"
        " | beschreibt die Zahlenspalten einer Tabelle",
        "key_points",
    ),
    "price_quote": _card(
        "makes a quote from a price table | 根据价格表生成报价 | 価格表から見積もりを作る"
        " | hace un presupuesto con una tabla de precios | établit un devis à partir d'un tarif"
        " | erstellt ein Angebot aus einer Preistabelle",
        "table_statistics",
    ),
    "download": _card(
        "fetches a file from the web and saves it | 从网络下载文件并保存 | ウェブからファイルを取得して保存する"
        " | descarga un archivo de la web y lo guarda | télécharge un fichier du web et l'enregistre"
        " | lädt eine Datei aus dem Netz und speichert sie",
        "document_reader",
    ),
    "pii_masking": _card(
        "hides personal data in a text | 对文本中的个人信息进行脱敏 | 文章の個人情報を伏せる"
        " | oculta los datos personales de un texto | masque les données personnelles d'un texte"
        " | verbirgt persönliche Daten in einem Text",
        "document_reader",
    ),
    "draft_writer": _card(
        "writes a first draft around given words, from patterns | 围绕给定的词语，用模板写出初稿 | 与えられた言葉から下書きを書く"
        " | escribe un primer borrador con las palabras dadas | écrit un premier jet autour des mots donnés"
        " | schreibt nach Mustern einen ersten Entwurf zu gegebenen Wörtern",
        "keywords",
    ),
    "sentiment": _card(
        "judges whether a text is friendly | 判断文本的情感倾向 | 文章の感情を判定する"
        " | juzga si un texto es favorable | juge si un texte est favorable | beurteilt, ob ein Text freundlich ist",
        "keywords",
    ),
    "log_analysis": _card(
        "counts what a log complains about | 统计日志中的错误与告警 | ログのエラーを集計する"
        " | cuenta de qué se queja un registro | compte ce dont un journal se plaint | zählt, worüber ein Protokoll klagt",
        "key_points",
    ),
    "template_filler": _card(
        "fills the {{blanks}} of a template | 填写模板中的 {{空白}} | テンプレートの {{空欄}} を埋める"
        " | rellena los {{huecos}} de una plantilla | remplit les {{blancs}} d'un modèle"
        " | füllt die {{Lücken}} einer Vorlage",
        "document_reader",
    ),
    "dates": _card(
        "counts days between dates and moves dates | 计算日期间隔和推算日期 | 日付の差と移動を計算する"
        " | cuenta días entre fechas y mueve fechas | compte les jours entre des dates et les décale"
        " | zählt Tage zwischen Daten und verschiebt Daten",
        "todo",
    ),
    "todo": _card(
        "keeps a list of things to do | 整理待办清单 | やることの一覧を管理する"
        " | lleva una lista de tareas | tient une liste de choses à faire | führt eine Aufgabenliste",
        "dates",
    ),
    "greeting": _card(
        "greets people by name, in their language | 用对方的语言按姓名问候 | 相手の言葉で名前を呼んで挨拶する"
        " | saluda a las personas por su nombre | salue les gens par leur nom | begrüßt Menschen mit ihrem Namen",
        "todo",
    ),
    "keywords": _card(
        "finds the words that carry a text | 提取文本的关键词 | 文章のキーワードを見つける"
        " | encuentra las palabras clave de un texto | trouve les mots-clés d'un texte | findet die Schlagwörter eines Textes",
        "summary",
    ),
}  # fmt: skip
"""In the order in which tools are preferred among equals: the same as in library/tools/__init__.py."""

TOOLS_MIN = 2
TOOLS_MAX = 4
DEFAULT_TOOLS = ("summary", "keywords")


@dataclass(frozen=True, slots=True)
class Lack:
    """Something requirements ask for that no tool here can do; said openly in the package."""

    words: tuple[str, ...]
    english: str
    chinese: str


NOTHING_FITS = Lack(
    (),
    "what was asked for: no tool of the offline drafter fits it, and those above are only a beginning. Add your own, or let "
    "a model draft it",
    "需求本身：离线起草器没有合适的工具，上面的工具只是起点。请添加自己的工具，或由模型起草",
)
LACKS = (
    Lack(
        ("pdf",),
        "PDF files: convert them to text or .docx first",
        "PDF 文件：请先转换为文本或 .docx",
    ),
    Lack(
        ("pubmed", "serpapi", "google", "bing", "news", "新闻", "search engine", "real-time", "实时", "live data"),
        "live sources on the web: give it files, or add a tool that calls the service",
        "联网实时数据源：请提供文件，或添加调用该服务的工具",
    ),
    Lack(
        ("neo4j", "mysql", "postgres", "mongodb", "redis", "sql", "database", "数据库"),
        "databases: export the data to CSV or JSON, or add a tool that connects",
        "数据库：请导出为 CSV 或 JSON，或添加连接数据库的工具",
    ),
    Lack(
        (
            "image",
            "photo",
            "picture",
            "video",
            "audio",
            "voice",
            "speech",
            "图片",
            "图像",
            "照片",
            "视频",
            "音频",
            "语音",
        ),
        "images, sound and video: they need a model",
        "图片、语音和视频：需要模型支持",
    ),
    Lack(
        ("translat", "翻译", "翻訳", "traduc", "tradui", "übersetz"),
        "translation: it needs a model",
        "翻译：需要模型支持",
    ),
    Lack(
        ("send mail", "send email", "send an email", "slack", "wechat", "dingtalk", "发送邮件", "微信", "钉钉", "飞书"),
        "sending messages: add a tool that calls the messenger",
        "发送消息：请添加调用该通讯服务的工具",
    ),
)
