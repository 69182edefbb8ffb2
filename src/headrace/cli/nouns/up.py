"""`headrace up`: from options to settings, from the ready server to what a person needs next.

The process itself is `headrace.serve`. Must never print a secret but a new one, once.
"""

from __future__ import annotations

import contextlib
import enum
import logging
import os
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli import failure, main, options, servers
from headrace.cli.show import tables

if TYPE_CHECKING:
    from headrace import serve, settings

log = logging.getLogger(__name__)

app = typer.Typer(rich_markup_mode=None, add_completion=False)


class Sandbox(enum.StrEnum):
    auto = "auto"
    bubblewrap = "bubblewrap"
    none = "none"


@app.command()
def up(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 7280,
    ready_file: Annotated[
        Path | None, typer.Option(help="Written when the server answers, removed at its end.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Data directory, or $HEADRACE_DATA.  [default: ~/.local/share/headrace]"),
    ] = None,
    ephemeral: Annotated[
        bool, typer.Option("--ephemeral", help="Keep everything in memory, gone at the end.")
    ] = False,
    keep: Annotated[
        str, typer.Option(help="Events go at this age, as 24h or 30d; what is open stays.")
    ] = "24h",
    keep_size: Annotated[
        str, typer.Option(help="The oldest go, too, when all take more, as 8GiB.")
    ] = "8GiB",
    workers: Annotated[int, typer.Option(min=1, help="Processes; only 1 for now.")] = 1,
    account_id: Annotated[str | None, typer.Option(help="The account to play.")] = None,
    region: Annotated[str, typer.Option(help="The region to play.")] = "cn-hangzhou",
    sandbox: Annotated[
        Sandbox, typer.Option(help="How functions are walled off; none is for development.")
    ] = Sandbox.auto,
    strict_limits: Annotated[
        bool, typer.Option("--strict-limits", help="The cloud's limits instead of ours.")
    ] = False,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listen beyond this machine without TLS.")
    ] = False,
    private_targets: Annotated[
        bool | None,
        typer.Option(help="HTTP targets may reach private networks.  [default: on loopback only]"),
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Show it at work.")] = False,
    once: Annotated[bool, typer.Option("--once", help="With --demo: stop afterwards.")] = False,
    describe: Annotated[
        bool, typer.Option("--describe", help="Say what this program is; start nothing.")
    ] = False,
) -> None:  # fmt: skip
    """Start the server; it runs until it is told to stop (Ctrl-C, SIGTERM).

    The first start makes an access key, keeps it in DATA/credentials.json for your eyes only and
    shows it once; HEADRACE_ACCESS_KEY_ID and HEADRACE_ACCESS_KEY_SECRET take its place.
    """
    _refuse(workers=workers, both=data is not None and ephemeral, once=once and not demo)

    from headrace import settings
    from headrace.bus import retention

    directory = data or _directory(demo=demo)
    config = settings.Settings(
        host=host, port=port, data=None if ephemeral else directory.absolute(), account=account_id,
        region=region, ready_file=ready_file, sandbox=sandbox.value,
        strict_limits=strict_limits, insecure=insecure, private_targets=private_targets,
        keep=retention.Keep(
            options.age_ms(keep, "--keep"), options.size(keep_size, "--keep-size")
        ),
    )  # fmt: skip
    if describe:
        _describe()
        return
    alongside = _demo(once=once) if demo else None
    raise typer.Exit(_run(config, alongside))


def _refuse(*, workers: int, both: bool, once: bool) -> None:
    """Raises: Failure (USAGE) for options that do not go together."""
    if workers > 1:
        raise failure.usage(
            "--workers above 1 is not built yet: all shards run in one process until the work on"
            " the hot path brings the others.",
            "headrace up --workers 1",
        )
    if both:
        raise failure.usage("--data and --ephemeral exclude each other.")
    if once:
        raise failure.usage("--once belongs to --demo.")


def _directory(*, demo: bool) -> Path:
    """Return the data directory of a server that is told none; a demo never takes the usual one."""
    if demo and not os.environ.get(servers.DATA_VARIABLE):
        from headrace import demo as demos

        return demos.fresh_directory()
    return servers.data_directory(os.environ)


def _demo(*, once: bool) -> Callable[[serve.Ready], Any]:
    from headrace import demo

    return demo.alongside(once=once)


def _describe() -> None:
    """Say what this program is, once all of it is imported: what `headrace upgrade` asks first."""
    import msgspec

    from headrace.supervisor import handover, process

    assert process.Supervisor, "it can be run"
    sys.stdout.write(msgspec.json.encode(handover.this_version()).decode() + "\n")


def _run(
    config: settings.Settings, alongside: Callable[[serve.Ready], Any] | None
) -> int:  # fmt: skip
    """Serve until the end, under a supervisor where something outlives the process.

    Raises: Failure when the server cannot start.
    """
    import msgspec

    from headrace import channel, serve
    from headrace.supervisor import process

    _hold_standard_streams()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    notes: list[Path] = []

    def announce(ready: serve.Ready, first: bool) -> None:
        try:
            notes.append(_remember(ready))
        except (OSError, RuntimeError) as fault:  # no home, or one that cannot be written
            print(f"Other terminals need HEADRACE_ENDPOINT and the key: {fault}", file=sys.stderr)
        try:
            _show(ready) if first else _show_again(ready)
        except OSError as fault:  # who has read it is gone: nobody is a reason to end
            log.warning("nothing more can be said on standard output: %s", fault)
            _silence()

    def work(lent: serve.Lent) -> int:
        def tell(ready: serve.Ready) -> None:
            lent.channel.tell(channel.READY, msgspec.json.encode(ready))

        try:
            with _failing():
                return serve.run(config, environ=os.environ, announce=tell, lent=lent)
        except failure.Failure as problem:
            main.tell(problem)
            return int(problem.exit_code)

    try:
        with _failing():
            if config.data is None or alongside is not None:
                return serve.run(
                    config, environ=os.environ, announce=lambda ready: announce(ready, True),
                    alongside=alongside,
                )  # fmt: skip
            return process.Supervisor(
                config, environ=os.environ, work=work, announce=announce
            ).run()
    finally:
        for note in notes:
            note.unlink(missing_ok=True)


def _remember(ready: serve.Ready) -> Path:
    return servers.remember(ready.url, ready.keys_file, os.environ, pid=ready.pid)


@contextlib.contextmanager
def _failing() -> Generator[None]:
    """Turn what keeps a server from starting into a Failure."""
    from headrace import app as apps
    from headrace.core import errors

    try:
        yield
    except errors.InvalidInput as fault:
        raise failure.usage(fault.message, fault.remedy) from fault
    except errors.HeadraceError as fault:
        raise failure.Failure(fault.message, remedy=fault.remedy) from fault
    except apps.ports.StoreError as fault:
        raise failure.Failure(
            f"The server cannot start: {fault}.",
            remedy="Choose another directory with --data, or stop the other server.",
        ) from fault
    except OSError as fault:
        raise failure.Failure(f"The server cannot start: {fault}.") from fault


def _silence() -> None:
    """Let standard output lead nowhere; what waits in it could not be written, either."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _hold_standard_streams() -> None:
    """Open those that are closed: else a socket or a file of ours would get their number."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def _show_again(ready: serve.Ready) -> None:
    """Another process serves now."""
    print(f"Headrace {ready.facts.get('version', '')} serves at {ready.url}", flush=True)


def _show(ready: serve.Ready) -> None:
    """Say where the server is and what to type next."""
    print(f"Headrace {ready.facts.get('version', '')} is ready at {ready.url}\n")
    tables.facts(
        [
            ("account", f"{ready.account}, region {ready.region}"),
            ("data", ready.data or "in memory, gone at the end"),
            ("sandbox", f"{ready.facts.get('sandbox')}: {ready.facts.get('sandbox_description')}"),
            *(
                ("plug-in", f"{one['name']} {_became(one)}")
                for one in ready.facts.get("plugins", [])
            ),
            ("access key", ready.access_key_id),
            ("secret", f"{ready.secret}   (shown this once)" if ready.secret else None),
            ("credentials", ready.keys_file or "from the environment"),
        ]
    )
    print("\nIn another terminal:")
    print("""  headrace event put --source my.app --type hello --data '{"n": 1}'""")
    print('  eval "$(headrace env)"        # for the official SDKs, Terraform, Serverless Devs')
    print(f"  curl {ready.url}/healthz")
    sys.stdout.flush()


def _became(plugin: dict[str, Any]) -> str:
    """Say what became of a plug-in: the type of target it serves, or why it is refused."""
    return f"is refused: {plugin['problem']}" if plugin["problem"] else f"serves {plugin['type']}"
