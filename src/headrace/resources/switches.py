"""Red switches of the catalog: what an operator has stopped, who did it, when and why.

A switch is a record like any other, so it is durable, changed by compare-and-set and told to every
listener. What a switch that is on means for deliveries and requests is `bus.switchboard`; must
never decide it here.
"""

from __future__ import annotations

from typing import Final, get_args

import msgspec

from headrace.core import errors
from headrace.resources import editing, functions, model, rules

KINDS: Final[tuple[model.SwitchKind, ...]] = get_args(model.SwitchKind)
_KINDS: Final[dict[str, model.SwitchKind]] = {kind: kind for kind in KINDS}
#: Kinds that are about one thing, and how that thing is written.
ABOUT: Final[dict[str, str]] = {
    "pause-account": "an account id",
    "pause-target": "BUS/RULE/TARGET or async/FUNCTION",
}
#: Records kept; one that is off goes before a new one is refused.
SWITCHES_MAX: Final = 1_000
#: Characters of the reason given with a switch; a longer one is refused.
REASON_CHARS_MAX: Final = 1_024
#: Characters of an account id that a switch names.
ACCOUNT_CHARS_MAX: Final = 64
#: First part of what is paused when it is the asynchronous calls of a function.
ASYNC: Final = "async"


class Switches(rules.Rules, functions.Functions):
    """Operations on switches."""

    def switches(self) -> list[model.Switch]:
        """Return every switch that was ever on and is still remembered, ascending by name."""
        found = [stored.record for stored in self._editor.walk(editing.SWITCH)]
        return sorted(found, key=lambda switch: (KINDS.index(switch.kind), switch.of))

    async def turn_switch(
        self, account: str, kind: str, of: str, *, on: bool, by: str, reason: str
    ) -> model.Switch:
        """Turn a switch and return it; turned to what it is already, it keeps its time.

        account: whose target it is.  by: the access key id of who turns it.
        Raises: InvalidInput, RuleNotFound, TargetNotFound, FunctionNotFound (on, for what is not
        there), SwitchNotFound (off, for what is not on).
        """
        known = _checked(kind, of, reason)

        async def write(draft: editing.Draft) -> model.Switch:
            was = self._stored_switch(account, known, of)
            if on:
                self._check_about(account, known, of)
            elif was is None or not was.record.on:
                raise errors.SwitchNotFound(
                    f"The switch [{name_of(kind, of)}] is not on.", field="switch", got=kind
                )
            flip = model.Flip(on, self._editor.now_ms(), by, reason)
            if was is None:
                self._make_room(draft)
                turned = model.Switch(known, of, account, on, flip.at_ms, (flip,))
                key = editing.SWITCH.key(account, known, *(of.split("/") if of else ()))
            else:
                turned, key = _turned(was.record, flip), was.key
            draft.put(editing.SWITCH, key, turned, was)
            return turned

        return await self._editor.run(write)

    def _check_about(self, account: str, kind: str, of: str) -> None:
        """A misspelt target would be a pause that pauses nothing."""
        if kind != "pause-target":
            return
        bus, name, *target = of.split("/")
        if not target:
            self.get_function(account, name)
            return
        rule, _ = self.get_rule(account, bus, name)
        if target[0] not in {known.id for known in rule.targets}:
            raise errors.TargetNotFound(
                f"The rule [{name}] has no target [{target[0]}].", field="of", got=of
            )

    def _stored_switch(
        self, account: str, kind: str, of: str
    ) -> editing.Stored[model.Switch] | None:
        """A target is looked for in its account; the rest of the server is one, whoever asks."""
        for stored in self._editor.walk(editing.SWITCH):
            record = stored.record
            whose = kind != "pause-target" or stored.account == account
            if whose and (record.kind, record.of) == (kind, of):
                return stored
        return None

    def _make_room(self, draft: editing.Draft) -> None:
        kept = list(self._editor.walk(editing.SWITCH))
        if len(kept) < SWITCHES_MAX:
            return
        off = [stored for stored in kept if not stored.record.on]
        if not off:
            raise errors.InvalidInput(
                f"{SWITCHES_MAX} switches are on already.", field="switch", expected=SWITCHES_MAX
            )
        draft.delete(editing.SWITCH, min(off, key=lambda stored: stored.record.flips[-1].at_ms))


def name_of(kind: str, of: str) -> str:
    """Return the words that turn a switch: `headrace switch off NAME`."""
    return f"{kind} {of}" if of else kind


def _is_about(kind: str, of: str) -> bool:
    if kind == "pause-account":
        return len(of) <= ACCOUNT_CHARS_MAX and of.isascii() and of.isalnum()
    parts = of.split("/")
    if not all(parts):
        return False
    return len(parts) == 3 or (len(parts) == 2 and parts[0] == ASYNC)


def _turned(switch: model.Switch, flip: model.Flip) -> model.Switch:
    since_ms = switch.since_ms if switch.on == flip.on else flip.at_ms
    flips = (*switch.flips, flip)[-model.FLIPS_KEPT :]
    return msgspec.structs.replace(switch, on=flip.on, since_ms=since_ms, flips=flips)


def _checked(kind: str, of: str, reason: str) -> model.SwitchKind:
    """Return the kind. Raises: InvalidInput when that is no switch, or the reason too long."""
    found = _KINDS.get(kind)
    if found is None:
        raise errors.InvalidInput(
            f"There is no switch [{kind[:80]}]: they are {', '.join(KINDS)}.",
            field="switch", expected=list(KINDS), got=kind[:80],
        )  # fmt: skip
    wanted = ABOUT.get(kind)
    if wanted is None and of:
        raise errors.InvalidInput(
            f"The switch {kind} is about the whole server, not about [{of[:80]}].",
            field="of", got=of[:80],
        )  # fmt: skip
    if wanted is not None and not _is_about(kind, of):
        raise errors.InvalidInput(
            f"The switch {kind} needs {wanted}.", field="of", expected=wanted, got=of[:80]
        )
    if len(reason) > REASON_CHARS_MAX:
        raise errors.InvalidInput(
            f"A reason has at most {REASON_CHARS_MAX} characters.",
            field="reason", expected=REASON_CHARS_MAX, got=len(reason),
        )  # fmt: skip
    return found
