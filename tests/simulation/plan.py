"""The plan of a day: what happens when, drawn from the seed before anything runs.

Owns the rules at the start and the list of actions. An action is a name and its arguments; what it
does stands in `world`.
"""

from __future__ import annotations

import random

import msgspec

from headrace.resources import inputs
from headrace.testing import shard
from tests.simulation import rulebook
from tests.simulation.network import DAY_S

#: Subscriptions at any time, those of the functions' own queues included.
SUBSCRIPTIONS_MAX = 20
#: Events of a day, and subscriptions at its start: many of one with few of the other, so that no
#: day takes a hundred times as long as the next.
SIZES = ((20, 20), (40, 20), (80, 16), (160, 12), (500, 8))
FUNCTIONS = ("resize", "bill")
QUEUES = ("inbox", "letters")
#: What else happens in a day, and how often on average.
INCIDENTS = {
    "edit_rule": 4, "disable": 2, "enable": 2, "drop_target": 1.5, "put_target": 3,
    "delete_rule": 1, "add_rule": 1.5, "touch_function": 1, "purge": 1, "resend": 2, "replay": 2,
    "call": 3, "slow_disk": 2, "no_room": 1.5, "bad_reads": 0.7, "step_clock": 1.5, "crash": 1.2,
    "crash_in_write": 1.5, "restart": 0.5, "look": 8,
}  # fmt: skip


class Action(msgspec.Struct, frozen=True):
    at_s: float
    what: str
    number: float = 0


class Plan(msgspec.Struct, frozen=True):
    rules: list[inputs.RuleInput]
    actions: list[Action]


def draw(seed: int) -> Plan:
    chance = random.Random(f"plan {seed}")
    events, subscriptions = chance.choice(SIZES)
    rules = _rules(chance, subscriptions - len(FUNCTIONS))
    actions = sorted(_actions(chance, events), key=lambda action: action.at_s)
    return Plan(rules, actions)


def _rules(chance: random.Random, most: int) -> list[inputs.RuleInput]:
    rules: list[inputs.RuleInput] = []
    left = chance.randrange(3, most + 1)
    while left > 0:
        count = min(left, chance.choice((1, 1, 2, 3)))
        left -= count
        rules.append(rule(chance, f"r{len(rules)}", count))
    return rules


def rule(chance: random.Random, name: str, count: int) -> inputs.RuleInput:
    targets = [target(chance, f"t{number}") for number in range(count)]
    return inputs.RuleInput(name, chance.choice(list(rulebook.PATTERNS)), targets=targets)


def target(chance: random.Random, id: str) -> inputs.TargetInput:
    kind = chance.choices(("http", "queue", "function", "async"), (14, 1.5, 2, 1.5))[0]
    if kind == "http":
        type, endpoint, params = "http", "http://receiver.test/", ()
    elif kind == "queue":
        type, params = "acs.mns.queue", ()
        endpoint = f"acs:mns:{shard.REGION}:{shard.ACCOUNT}:queues/{QUEUES[0]}"
    else:
        type = "acs.fc.function"
        endpoint = f"acs:fc:{shard.REGION}:{shard.ACCOUNT}:functions/{chance.choice(FUNCTIONS)}"
        word = "Async" if kind == "async" else "Sync"
        params = (inputs.ParamInput("InvocationType", "CONSTANT", word),)
    letters = {"Arn": f"acs:mns:{shard.REGION}:{shard.ACCOUNT}:queues/{QUEUES[1]}"}
    stands = chance.random() < 0.15
    # One that stands tries every 20 or every 512 s as long as it takes: mostly the latter.
    slowly = chance.random() < (0.8 if stands else 0.3)
    return inputs.TargetInput(
        id, type, endpoint, params=params,
        retry="EXPONENTIAL_DECAY_RETRY" if slowly else "BACKOFF_RETRY",
        errors="NONE" if stands else "ALL",
        concurrency=chance.choice((1, 1, 2, 3, 10, None)),
        dead_letter=letters if chance.random() < 0.2 else None,
    )  # fmt: skip


def _actions(chance: random.Random, events: int) -> list[Action]:
    actions: list[Action] = []
    left = events
    while left > 0:  # bursts, and single events between them
        at_s = chance.random() * DAY_S
        for _ in range(chance.choice((1, 1, 2, 8))):
            count = min(left, chance.choice((1, 1, 1, 2, 5, 15)))
            if count:
                actions.append(Action(at_s, "publish", count))
            left -= count
            at_s += chance.choice((0, 0.001, 0.02, 2, 30))
    for what, mean in INCIDENTS.items():
        for _ in range(int(chance.expovariate(1 / mean) + 0.5)):
            # Many just after something was published, when much is on its way.
            near = chance.choice(actions).at_s + chance.expovariate(1 / 5)
            at_s = near if chance.random() < 0.6 else chance.random() * DAY_S
            actions.append(Action(at_s, what, chance.random()))
    return actions
