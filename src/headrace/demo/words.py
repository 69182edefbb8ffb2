"""What the demo says, in English and Chinese. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: Key -> English, Chinese.
CATALOGUE: Final[Mapping[str, tuple[str, str]]] = {
    "title": (
        "Headrace at work: {count} steps through {speaker}",
        "Headrace 演示：共 {count} 步，通过{speaker}",
    ),
    "speaker.wire": ("its own signed client (no SDK needed)", "自带的签名客户端（无需 SDK）"),
    "speaker.sdk": ("the official SDKs: {packages}", "官方 SDK：{packages}"),
    "server": (
        "Headrace {version} answers at {url}; data in {data}; sandbox {rung}, {sandbox}",
        "Headrace {version} 已就绪：{url}；数据目录 {data}；函数沙箱 {rung}，{sandbox}",
    ),
    "signature": (
        "a signed GetEventBus is accepted for account {account}; a forged one gets {code}",
        "签名的 GetEventBus 通过，账号 {account}；伪造的签名被拒绝：{code}",
    ),
    "deploy": (
        "CreateFunction: {function}, {size} bytes of Python, {state}",
        "CreateFunction：函数 {function}，{size} 字节 Python 代码，状态 {state}",
    ),
    "trigger": (
        "CreateTrigger: {trigger} of {function} is the rule {rule} on bus default",
        "CreateTrigger：函数 {function} 的触发器 {trigger} 就是 default 总线上的规则 {rule}",
    ),
    "wiring": (
        "CreateRule: {rule} with three targets: function {function}, receiver {url}, queue {queue}",
        "CreateRule：规则 {rule} 有三个目标：函数 {function}、接收端 {url}、队列 {queue}",
    ),
    "disk": (
        "PutEvents: {ids} accepted and durable on disk ({used})",
        "PutEvents：{ids} 已接收并落盘（{used}）",
    ),
    "rule": (
        "both rules took all {count} orders: {rules}",
        "两条规则都匹配了全部 {count} 个订单：{rules}",
    ),
    "function": (
        "{function} ran {count} times, by the trigger and by the rule; it printed “{line}”",
        "{function} 运行了 {count} 次（触发器与规则各触发一次），输出“{line}”",
    ),
    "receiver": (
        "{count} orders were pushed to {url}; the last body was {body}",
        "{count} 个订单已推送到 {url}，最后一次的内容是 {body}",
    ),
    "queue": (
        "queue {queue} holds {count} messages, the whole events",
        "队列 {queue} 中有 {count} 条消息，内容是完整的事件",
    ),
    "result": (
        "InvokeFunction answered a total of {total:.2f}; published as {type}, it reached the"
        " receiver",
        "InvokeFunction 返回总价 {total:.2f}；作为 {type} 发布后送达接收端",
    ),
    "record": (
        "one record, two views: UpdateTrigger set amount >= {first} and GetRule shows it;"
        " UpdateRule set >= {second} and GetTrigger shows it",
        "一份记录，两个视图：UpdateTrigger 改为 amount >= {first}，GetRule 立即可见；"
        "UpdateRule 改为 >= {second}，GetTrigger 立即可见",
    ),
    "why": (
        "{id} did not match {rule}, because {because}",
        "{id} 没有匹配规则 {rule}，原因：{because}",
    ),
    "retry": (
        "{id}: the receiver answered 500, tried again after {seconds:.1f} s, then {status}",
        "{id}：接收端返回 500，{seconds:.1f} 秒后重试，结果 {status}",
    ),
    "letter": (
        "{id}: the receiver answered 410, no retry can help; kept as dead letter {letter}",
        "{id}：接收端返回 410，重试无益；已存为死信 {letter}",
    ),
    "resend": (
        "the receiver works again; dead letter {letter} was sent again: {status}, {left} left",
        "接收端已恢复；死信 {letter} 重新投递：{status}，剩余 {left} 条",
    ),
    "books": (
        "the books balance: {enqueued} deliveries = {delivered} delivered + {dead} dead"
        " + {dropped} re-sent + {open} waiting on queues",
        "账目平衡：{enqueued} 次投递 = {delivered} 成功 + {dead} 死信"
        " + {dropped} 已重投 + {open} 在队列中",
    ),
    "picture": ("What happened to {id}:", "事件 {id} 的全过程："),
    "picture.rule": ("rule {rule}", "规则 {rule}"),
    "picture.function": ("function {name}", "函数 {name}"),
    "picture.queue": ("queue {name}", "队列 {name}"),
    "picture.matched": ("matched", "匹配"),
    "picture.unmatched": ("not matched", "未匹配"),
    "picture.attempt": ("attempt {number}", "第 {number} 次"),
    "picture.again": ("sent again", "重新投递"),
    "picture.delivered": ("delivered", "成功"),
    "picture.retry": ("retry", "重试"),
    "picture.dead": ("dead", "死信"),
    "picture.dropped": ("dropped", "丢弃"),
    "picture.waiting": ("waiting", "等待"),
    "all": (
        "All {count} steps worked in {seconds:.1f} s.",
        "全部 {count} 步成功，用时 {seconds:.1f} 秒。",
    ),
    "stays": (
        "Headrace stays up at {url} until Ctrl-C.",
        "Headrace 继续运行：{url}，按 Ctrl-C 结束。",
    ),
    "try": ("In another terminal:", "可在另一个终端中试试："),
    "again": ("The data stays in {data}; look at it again:", "数据保留在 {data}，可再次查看："),
    "broken": (
        "Step {number} of {count} broke: {step}. Cause: {cause}",
        "第 {number} 步（共 {count} 步）失败：{step}。原因：{cause}",
    ),
    "sabotage": ("Sabotage: {what} is broken on purpose.", "故意破坏：{what}。"),
}  # fmt: skip


class Words:
    """The catalogue in one language."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._column = 1 if _is_chinese(environ) else 0

    def __call__(self, key: str, **facts: object) -> str:
        return CATALOGUE[key][self._column].format(**facts)


def _is_chinese(environ: Mapping[str, str]) -> bool:
    """True when the first of the locale variables that is set begins with zh."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := environ.get(name):
            return value.lower().startswith("zh")
    return False
