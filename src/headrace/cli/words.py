"""The few words said in English and Chinese: the list of commands and the lead words of errors.

Everything else is English. The language is the locale's; it must never change machine output.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: Noun -> (module in this package, English, Chinese).
NOUNS: Final[Mapping[str, tuple[str, str, str]]] = {
    "up": ("up", "Start the server.", "启动服务器"),
    "status": ("status", "Show the running server and how full it is.", "查看服务器状态"),
    "doctor": ("doctor", "Check the server, its books and its disk.", "检查服务器、账目和磁盘"),
    "upgrade": ("upgrade", "Go to another version, while it runs.", "在线升级到另一版本"),
    "backup": ("backup", "Back up the data, while the server runs.", "备份数据，无需停机"),
    "restore": ("restore", "Check a backup and restore it.", "校验并恢复备份"),
    "verify": ("verify", "Check every file of the data directory.", "校验数据目录的每个文件"),
    "env": ("env", "Print exports for SDKs and Terraform.", "输出 SDK 等工具的环境变量"),
    "bus": ("bus", "Event buses.", "事件总线"),
    "rule": ("rule", "Event rules and their targets.", "事件规则与事件目标"),
    "why": ("why", "Say why a rule took an event or not.", "解释事件为何匹配或未匹配规则"),
    "event": ("event", "Publish, watch, trace, replay events.", "发布、查看、追踪和重放事件"),
    "fn": ("fn", "Functions and their triggers.", "函数与触发器"),
    "queue": ("queue", "Built-in queues.", "内置队列"),
    "dlq": ("dlq", "Dead letters.", "死信"),
    "switch": ("switch", "Pause deliveries, read-only mode, drain.", "暂停投递、只读模式、排空"),
    "limits": ("limits", "List every limit with its value.", "列出所有限制"),
}  # fmt: skip

_CHINESE: Final[Mapping[str, str]] = {
    "error": "错误",
    "try": "建议",
    "code": "错误码",
    "request": "请求 ID",
}


def is_chinese(environ: Mapping[str, str]) -> bool:
    """True when the locale for messages is Chinese (LC_ALL, LC_MESSAGES, LANG, in that order)."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := environ.get(name):
            return value.lower().startswith("zh")
    return False


def say(word: str, environ: Mapping[str, str]) -> str:
    """Return a lead word in the reader's language."""
    return _CHINESE.get(word, word) if is_chinese(environ) else word


def about(noun: str, environ: Mapping[str, str]) -> str:
    """Return what a command is for, in the reader's language."""
    _, english, chinese = NOUNS[noun]
    return chinese if is_chinese(environ) else english
