"""The ledger against a plain model: dicts and sets that know nothing of bitmaps."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.bus import ledger as ledgers
from headrace.store import ports

P = ports.Position
BUS, RULE_A, RULE_B = 1, 101, 102


def record(*matches: int, generation: int = 7, origin: int | None = None) -> ports.Record:
    came_from = None if origin is None else P(origin)
    return ports.Record(BUS, 0, 0, 0, generation, tuple(sorted(matches)), b"{}", came_from)


def fact(
    position: int, subscription: int, verdict: ports.Verdict, *, attempt: int = 1, wait_ms: int = 0
) -> ports.Settlement:
    return ports.Settlement(P(position), subscription, verdict, attempt, wait_ms=wait_ms)


def frame(
    *events: ports.Record,
    facts: tuple[ports.Settlement, ...] = (),
    marks: dict[str, bytes | None] | None = None,
    at_ms: int = 1000,
) -> ports.Frame:
    return ports.Frame(at_ms, events, facts, marks or {})


def rules_mark(generation: int, enabled: tuple[int, ...], living: tuple[int, ...] | None = None):
    value = msgspec.msgpack.encode(ledgers.RuleSnapshot(enabled, living or enabled))
    return {f"{ledgers.RULES_MARK}{BUS}/{generation}": value}


def test_an_event_is_open_for_each_subscription_until_it_closes() -> None:
    ledger = ledgers.Ledger()
    ledger.apply(frame(record(5, 6)), P(2))
    assert list(ledger.open_after(5, 0)) == [2]
    ledger.apply(frame(facts=(fact(2, 5, ports.Verdict.DELIVERED),)), P(3))
    assert list(ledger.open_after(5, 0)) == []
    assert list(ledger.open_after(6, 0)) == [2]
    assert ledger.pending() == 1


def test_a_retry_keeps_the_delivery_open_and_remembers_attempt_and_wait() -> None:
    ledger = ledgers.Ledger()
    ledger.apply(frame(record(5)), P(2))
    retry = fact(2, 5, ports.Verdict.RETRY, attempt=3, wait_ms=900)
    ledger.apply(frame(facts=(retry,), at_ms=5000), P(3))
    known = ledger.deliveries(5).retries[2]
    assert (known.attempt, known.at_ms, known.wait_ms) == (3, 5000, 900)
    ledger.apply(frame(facts=(fact(2, 5, ports.Verdict.DEAD),)), P(4))
    assert ledger.deliveries(5).retries == {}
    assert ledger.deliveries(5).dead == 1


def test_a_second_answer_for_a_closed_delivery_is_stray_and_changes_nothing() -> None:
    ledger = ledgers.Ledger()
    ledger.apply(frame(record(5)), P(2))
    for end in (3, 4):
        ledger.apply(frame(facts=(fact(2, 5, ports.Verdict.DELIVERED),)), P(end))
    state = ledger.deliveries(5)
    assert (state.delivered, state.stray, state.balance) == (1, 1, 0)


def test_a_carried_delivery_keeps_its_attempts_and_is_not_enqueued_twice() -> None:
    ledger = ledgers.Ledger()
    ledger.apply(frame(record(5)), P(2))
    retry = fact(2, 5, ports.Verdict.RETRY, attempt=4, wait_ms=60)
    ledger.apply(frame(facts=(retry,)), P(3))
    copy = record(5, generation=ledgers.COPIED, origin=2)
    ledger.apply(frame(copy, facts=(fact(2, 5, ports.Verdict.MOVED),)), P(5))
    state = ledger.deliveries(5)
    assert list(state.open) == [5]
    assert state.retries[5].attempt == 4
    assert (state.enqueued, state.carried_in, state.moved_out, state.balance) == (1, 1, 1, 0)


def test_law_two_counts_only_while_the_rule_is_enabled() -> None:
    ledger = ledgers.Ledger()
    ledger.apply(frame(record(generation=1), marks=rules_mark(1, (RULE_A,))), P(2))
    ledger.apply(frame(record(-RULE_A, generation=1), record(generation=1)), P(5))
    ledger.apply(frame(record(generation=2), marks=rules_mark(2, (), (RULE_A,))), P(7))
    ledger.apply(frame(record(-RULE_A, generation=3), marks=rules_mark(3, (RULE_A,))), P(9))
    bus = ledger.buses[BUS]
    account = bus.rules[RULE_A]
    assert bus.accepted == 5
    assert account.accepted(bus.accepted) == 4
    assert account.matched == 2


def test_a_snapshot_mark_applies_from_the_first_event_of_its_generation() -> None:
    """Events matched before an edit may share a frame with the mark of the new rules."""
    ledger = ledgers.Ledger()
    ledger.apply(frame(record(generation=1), marks=rules_mark(1, (RULE_A,))), P(2))
    both = rules_mark(2, (RULE_A, RULE_B))
    old, new = record(-RULE_A, generation=1), record(-RULE_A, -RULE_B, generation=2)
    ledger.apply(frame(old, new, marks=both), P(5))
    bus = ledger.buses[BUS]
    assert bus.rules[RULE_B].accepted(bus.accepted) == 1
    assert bus.rules[RULE_A].accepted(bus.accepted) == 3


def test_copies_are_delivered_but_not_accepted_again() -> None:
    ledger = ledgers.Ledger()
    ledger.apply(frame(record(-RULE_A, 5, generation=1), marks=rules_mark(1, (RULE_A,))), P(2))
    ledger.apply(frame(record(5, generation=ledgers.COPIED, origin=2)), P(4))
    assert ledger.buses[BUS].accepted == 1
    assert ledger.deliveries(5).enqueued == 2


# -- properties ------------------------------------------------------------------------------------

SUBSCRIPTIONS = (5, 6, 7)
VERDICTS = st.sampled_from(list(ports.Verdict))


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[ports.Frame, ports.Position]]:
    """Random frames as a bus could write them, positions dense."""
    frames: list[tuple[ports.Frame, ports.Position]] = []
    last, known = 0, [1]
    for _ in range(draw(st.integers(1, 12))):
        sets = draw(st.lists(st.sets(st.sampled_from(SUBSCRIPTIONS)), max_size=4))
        facts = tuple(
            fact(draw(st.sampled_from(known)), draw(st.sampled_from(SUBSCRIPTIONS)), verdict)
            for verdict in draw(st.lists(VERDICTS, max_size=4))
        )
        first = last + 2
        known.extend(range(first, first + len(sets)))
        last = last + 1 + len(sets)
        frames.append((frame(*(record(*matches) for matches in sets), facts=facts), P(last)))
    return frames


def replayed(frames: list[tuple[ports.Frame, ports.Position]]) -> ledgers.Ledger:
    ledger = ledgers.Ledger()
    for one, last in frames:
        ledger.apply(one, last)
    return ledger


@given(histories())
@settings(max_examples=200, deadline=None)
def test_open_deliveries_equal_a_plain_model_and_law_one_holds(frames) -> None:
    ledger = replayed(frames)
    model: set[tuple[int, int]] = set()
    for one, last in frames:
        first = int(last) - len(one.events) + 1
        for offset, kept in enumerate(one.events):
            model.update((first + offset, number) for number in kept.matches)
        for said in one.settlements:
            if said.verdict.closes:
                model.discard((int(said.position), said.subscription))
    found = {(p, n) for n in SUBSCRIPTIONS for p in ledger.open_after(n, 0)}
    assert found == model
    assert all(state.balance == 0 for state in ledger.subscriptions.values())


@given(histories(), st.data())
@settings(max_examples=200, deadline=None)
def test_snapshot_and_replay_equal_replay_from_zero(frames, data) -> None:
    cut = data.draw(st.integers(0, len(frames)))
    resumed = ledgers.Ledger.load(replayed(frames[:cut]).dump() if cut else None)
    for one, last in frames[cut:]:
        resumed.apply(one, last)
    whole = replayed(frames)
    assert ledgers.Ledger.load(resumed.dump()).dump() == whole.dump()
