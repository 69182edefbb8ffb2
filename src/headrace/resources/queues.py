"""Built-in queues of the catalog. A queue's messages are deliveries of one passive subscription."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from headrace.core import errors, names
from headrace.resources import base, deletes, editing, inputs, model, target_rules, targets

_DOOR: Final[inputs.Door] = "bus side"


class Queues(base.Part):
    """Operations on built-in queues."""

    async def create_queue(self, account: str, name: str) -> model.Queue:
        """Create a queue.

        Raises: InvalidInput for its name, QueueExists.
        """
        names.check_queue_name(name)
        key = editing.QUEUE.key(account, name)

        async def write(draft: editing.Draft) -> model.Queue:
            if self._editor.read(editing.QUEUE, key) is not None:
                raise errors.QueueExists(
                    f"The queue [{name}] already existed!", field="QueueName", got=name
                )
            now = self._editor.now_ms()
            queue = model.Queue(
                name=name,
                created_ms=now,
                modified_ms=now,
                subscription=await self._new_number(f"{account}/queue/{name}"),
                edits=editing.edits_with(None, _DOOR, ("created",), now),
            )
            draft.put(editing.QUEUE, key, queue, None)
            return queue

        return await self._editor.run(write)

    def get_queue(self, account: str, name: str) -> model.Queue:
        """Return a queue. Raises: QueueNotFound."""
        return self._stored_queue(account, name).record

    def list_queues(
        self, account: str, *, prefix: str = "", limit: int = 100, token: str | None = None
    ) -> inputs.Listing[model.Queue]:
        """Return queues ascending by name."""
        found = self._editor.scan(editing.QUEUE, editing.QUEUE.prefix(account))
        rows = ((stored.record.name, stored.record) for stored in found)
        fitting = (row for row in rows if row[0].startswith(prefix))
        return base.page_of(fitting, limit=limit, token=token)

    async def delete_queue(
        self, account: str, name: str, *, revision: int | None = None
    ) -> model.Queue:
        """Delete a queue that no rule uses and return it; the bus drops its messages.

        Raises: QueueNotFound, QueueInUse, EditConflict.
        """
        fence = base.fence_of(account, "queue", name)

        async def write(draft: editing.Draft) -> model.Queue:
            was = self._stored_queue(account, name)
            editing.check_revision(was, revision, f"The queue [{name}]")
            situation, users = self._queue_situation(account, name)
            if deletes.effect("delete_queue", "-", situation) is deletes.Effect.REFUSED:
                raise errors.QueueInUse(
                    f"The queue [{name}] is in use: {situation}, {', '.join(users)}.",
                    field="QueueName",
                    got=name,
                )
            draft.delete(editing.QUEUE, was)
            self._drop(draft, fence)
            return was.record

        return await self._editor.run(write)

    def _stored_queue(self, account: str, name: str) -> editing.Stored[model.Queue]:
        known = editing.is_key_part(name)
        found = (
            self._editor.read(editing.QUEUE, editing.QUEUE.key(account, name)) if known else None
        )
        if found is None:
            raise errors.QueueNotFound(
                f"The queue [{name}] not existed!", field="QueueName", got=name
            )
        return found

    def _queue_situation(self, account: str, name: str) -> tuple[str, list[str]]:
        """Return how the queue is used and by which targets (`bus/rule/target`, a few)."""
        fed = list(self._queue_users(account, name, targets.queue_of))
        if fed:
            return deletes.IS_TARGET, fed[:3]
        kept = list(self._queue_users(account, name, targets.dead_letter_queue_of))
        if kept:
            return deletes.IS_DEAD_LETTER, kept[:3]
        return deletes.UNUSED, []

    def _queue_users(self, account: str, name: str, named: targets.Naming) -> Iterator[str]:
        for stored in self._editor.scan(editing.RULE, editing.RULE.prefix(account)):
            rule = stored.record
            for target in rule.targets:
                if named(target) == name:
                    yield f"{rule.bus}/{rule.name}/{target.id}"

    def _hold_queues(
        self, draft: editing.Draft, account: str, target: model.Target, field: str
    ) -> None:
        """Let `draft` fail if a queue that `target` names is deleted first; raise if it does not
        exist.
        """
        for name, at in _named_queues(account, target, field):
            key = editing.QUEUE.key(account, name)
            draft.guard(key, self._check_queue(account, name, at))
            draft.touch(base.fence_of(account, "queue", name))

    def _check_queues(self, account: str, target: model.Target, field: str) -> None:
        """Raise TargetInvalid if `target` names a queue that does not exist.

        A queue is not created on demand: a misspelt name would swallow events in silence.
        """
        for name, at in _named_queues(account, target, field):
            self._check_queue(account, name, at)

    def _check_queue(self, account: str, name: str, at: str) -> editing.Stored[model.Queue]:
        try:
            return self._stored_queue(account, name)
        except errors.QueueNotFound as missing:
            raise errors.TargetInvalid(
                f"{at} names the queue [{name}], which does not exist.",
                field=at,
                got=name,
                remedy=f"Create it first: headrace queue create {name}",
            ) from missing


def _named_queues(account: str, target: model.Target, field: str) -> Iterator[tuple[str, str]]:
    fed = targets.queue_of(target)
    if fed is not None:
        yield fed, f"{field}.Endpoint"
    kept = targets.arn_of(target.dead_letter.arn, "queue") if target.dead_letter else None
    if kept is not None:
        at = f"{field}.DeadLetterQueue.Arn"
        target_rules.check_own(kept, account, at)
        yield kept.name, at
