"""What the two READMEs say in numbers: figures from bench/results/*.json, counts of the API tables.

    ./dev docs [--check]

Each block stands between `<!-- NAME -->` and `<!-- /NAME -->`. Must never say a number that no file
and no table holds: a figure without a result is left out, and the command that makes it is named.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pages
import promises

from headrace.api import operations
from headrace.api.cloudevents import face as cloudevents
from headrace.api.eventbridge import control, dataplane
from headrace.api.fc import table as fc_table

RESULTS = pages.ROOT / "bench" / "results"
LANGUAGES = {"README.md": 0, "README.zh.md": 1}


class Row(NamedTuple):
    """One figure: where it stands, how it is said."""

    bench: str
    key: str
    text: tuple[str, str]
    unit: str
    #: Where the bench itself says ours ÷ floor among its figures.
    ratio: str = ""


ROWS = (
    Row(
        "ingest",
        "single_events_per_s",
        ("signed `PutEvents`, 1 KiB, one event a request, durable",
         "带签名的 `PutEvents`，每请求 1 个 1 KiB 事件，落盘后应答"),
        "events/s",
    ),
    Row(
        "ingest",
        "batch_events_per_s",
        ("the same, ten events a request", "同上，每请求 10 个事件"),
        "events/s",
    ),
    Row(
        "deliver",
        "events_per_s",
        ("publish → rule → sandboxed function returned", "发布 → 规则 → 沙箱中的函数返回"),
        "events/s",
    ),
    Row(
        "deliver",
        "p99_ms",
        ("publish → handler starts, p99 at a third of that rate",
         "发布 → 函数开始执行，上述速率三分之一时的 p99"),
        "ms",
    ),
    Row(
        "invoke",
        "callers32_per_s",
        ("signed `InvokeFunction`, warm, 32 callers",
         "带签名的 `InvokeFunction`，热实例，32 个调用方"),
        "calls/s",
    ),
    Row(
        "invoke",
        "callers1_p50_ms",
        ("the same, one caller, median", "同上，1 个调用方，中位数"),
        "ms",
    ),
    Row(
        "coldstart",
        "p50_ms",
        ("cold start of a sandboxed Python function, median", "沙箱 Python 函数冷启动，中位数"),
        "ms",
    ),
    Row(
        "store",
        "events_per_s_32",
        ("store: 1 KiB events made durable one by one, 32 producers",
         "存储：1 KiB 事件逐个落盘，32 个生产者"),
        "events/s",
        "ratio_32",
    ),
    Row(
        "match",
        "events_per_s",
        ("JSON text matched against 10,000 rules, one core", "JSON 文本匹配 10,000 条规则，单核"),
        "events/s",
        "share_of_floor",
    ),
    Row(
        "startup",
        "ready_s",
        ("`headrace up` to the first answer", "`headrace up` 到首次应答"),
        "s",
    ),
    Row(
        "startup",
        "idle_rss_mb",
        ("memory of an idle server", "空闲时的内存"),
        "MiB",
    ),
)  # fmt: skip

HEADS = (
    ("", "Headrace", "floor", "÷ floor", "command"),
    ("", "Headrace", "下限", "÷ 下限", "命令"),
)
NOT_MEASURED = (
    "Not measured on this tree yet, with the commands that do it:",
    "尚未在此版本上测量，对应命令：",
)
MEASURED = (
    "Measured on {cores} cores with Python {python}, {day}.",
    "测量环境：{cores} 核，Python {python}，{day}。",
)
COUNT_HEADS = (
    ("API", "version", "operations built", "in the cloud"),
    ("API", "版本", "已实现的操作", "云上的操作"),
)


def main() -> int:
    return pages.settle(
        {pages.ROOT / name: filled(pages.ROOT / name, at) for name, at in LANGUAGES.items()}
    )


def filled(path: Path, language: int) -> str:
    """Return a README with its blocks as they should be."""
    text = path.read_text("utf-8")
    blocks = (
        ("figures", figures(language)),
        ("built", built(language)),
        ("promises", promised(language)),
    )
    for name, block in blocks:
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text, count = pattern.subn(
            lambda found, block=block: found[1] + "\n" + block + "\n" + found[2], text
        )
        if count != 1:
            raise SystemExit(f"{path.name} has {count} blocks <!-- {name} -->, one is needed")
    return text


def figures(language: int) -> str:
    """Return the table of what was measured, and what was not."""
    results = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}
    parts: list[str] = []
    if rows := [_row(row, results[row.bench], language) for row in ROWS if row.bench in results]:
        parts.append(pages.table(HEADS[language], rows))
    machines = [result["machine"] for result in results.values() if "machine" in result]
    if machines:
        newest = max(machines, key=lambda machine: machine["day"])
        parts.append(MEASURED[language].format(**newest) + "\n")
    missing = dict.fromkeys(row.bench for row in ROWS if row.bench not in results)
    if missing:
        made_by = pages.codes(f"./dev bench {name} --save" for name in missing)
        parts.append(f"{NOT_MEASURED[language]}\n{made_by}.\n")
    return "\n".join(parts)


def _row(row: Row, result: dict[str, Any], language: int) -> tuple[str, ...]:
    values, floor = result["figures"], result["floor"].get(row.key)
    if row.key not in values:
        raise SystemExit(f"bench/results/{row.bench}.json has no figure {row.key}")
    ratio = result.get("ratio", {}).get(row.key, values.get(row.ratio))
    if ratio is None and floor:
        ratio = values[row.key] / floor
    return (
        row.text[language],
        f"{number(values[row.key])} {row.unit}",
        "–" if floor is None else f"{number(floor)} {row.unit}",
        "–" if ratio is None else f"{ratio:.2f}",
        pages.code(f"./dev bench {row.bench}"),
    )


def number(value: float) -> str:
    """Return three digits that count: more would claim what no run repeats."""
    if value >= 1000:
        return f"{round(value, 2 - int(len(str(int(value))) - 1)):,.0f}"
    return f"{value:.3g}"


def built(language: int) -> str:
    """Return how many operations of each API are built."""
    tables = (control.TABLE, dataplane.TABLE, fc_table.TABLE, cloudevents.TABLE)
    rows = [(table.api, table.version, _count(table), len(list(table))) for table in tables]
    return pages.table(COUNT_HEADS[language], rows)


def promised(language: int) -> str:
    """Return the promises, one a line, in the words of their page."""
    remarks = (" *({})*", " *（{}）*")
    lines = [
        "- "
        + promise.words[language]
        + (remarks[language].format(promise.remark[language]) if promise.remark[language] else "")
        for promise in promises.PROMISES
    ]
    return "\n".join(lines) + "\n"


def _count(table: operations.Table) -> int:
    return sum(row.handler is not None for row in table)


if __name__ == "__main__":
    sys.exit(main())
