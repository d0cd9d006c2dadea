"""The command line: python -m refcrm up | serve | seed | cluster."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refcrm.errors import RefcrmError

if TYPE_CHECKING:
    from refcrm.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0 done, 2 wrong usage, 4 could not run, 130 interrupted."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s"
    )
    try:
        options.run(options)
    except RefcrmError as error:
        _complain(error.message, error.hint)
        return 4
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _complain(f"{place}{error.strerror or error}", "Check the path, its rights and free space.")
        return 4
    except KeyboardInterrupt:
        _complain("interrupted", "")
        return 130
    return 0


def _complain(message: str, hint: str) -> None:
    sys.stderr.write(f"error: {message}\n" + (f"hint: {hint}\n" if hint else ""))


def _say(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def _progress(stage: str, done: int, total: int) -> None:
    sys.stderr.write(f"{stage}: {done} of {total}\n")


def _up(options: argparse.Namespace) -> None:
    from refcrm.up import SeedPlan, up

    plan = SeedPlan(options.contacts, options.users, options.seed, options.defects)
    up(
        options.dir,
        _settings(options, ""),
        plan,
        ready_file=options.ready_file,
        progress=_progress,
        announce=_say,
    )


def _serve(options: argparse.Namespace) -> None:
    from refcrm.server import Announcement, serve
    from refcrm.up import write_atomically

    if options.ready_file is not None:
        options.ready_file.unlink(missing_ok=True)

    def ready(where: Announcement) -> None:
        facts = {"url": where.url, "database_url": options.database, "server_pid": os.getpid()}
        if options.ready_file is not None:
            write_atomically(options.ready_file, json.dumps(facts, indent=2))
        _say({"url": where.url, "server_pid": os.getpid()})

    serve(_settings(options, options.database), announce=ready)


def _seed(options: argparse.Namespace) -> None:
    import asyncio

    import asyncpg

    from refcrm import schema
    from refcrm.database import unreachable
    from refcrm.seed import seed

    async def make_tables() -> None:
        try:
            connection = await asyncpg.connect(options.database, timeout=10)
        except (OSError, ValueError, TimeoutError, asyncpg.PostgresError) as error:
            raise unreachable(error) from error
        await schema.apply(connection)
        await connection.close()

    asyncio.run(make_tables())
    report = seed(
        options.database,
        contacts=options.contacts,
        users=options.users,
        seed=options.seed,
        defects=options.defects,
        password=_given_password(options.password_file),
        progress=_progress,
    )
    _say(asdict(report))


def _given_password(path: Path) -> str:
    password = path.read_text(encoding="utf-8").strip()
    if not password:
        raise RefcrmError(f"{path} is empty", hint="Write the password of all seeded people in it.")
    return password


def _cluster(options: argparse.Namespace) -> None:
    from refcrm import cluster

    if options.action == "stop":
        _say({"stopped": cluster.stop(options.dir)})
        return
    started = cluster.start(options.dir)
    _say(
        {
            "database_url": started.url(),
            "admin_database_url": started.url("postgres"),
            "pgdata": str(started.data),
            "postgres_pid": started.pid,
            "os_user": started.os_user,
        }
    )


def _settings(options: argparse.Namespace, url: str) -> Settings:
    from refcrm.settings import Settings

    return Settings(
        database_url=url,
        host=options.host,
        port=options.port,
        faults=options.faults,
        rate=options.rate,
        burst=options.burst,
        token_seconds=options.token_seconds,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m refcrm", description="A small real CRM to practise on."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="embedded PostgreSQL, seed and server, until Ctrl-C")
    up.add_argument("--dir", type=Path, required=True, help="where everything lives; kept")
    _add_server(up)
    _add_amounts(up)
    up.set_defaults(run=_up)
    serve = commands.add_parser("serve", help="the server on an existing PostgreSQL, until Ctrl-C")
    serve.add_argument("--database", required=True, metavar="URL", help="postgresql://...")
    _add_server(serve)
    serve.set_defaults(run=_serve)
    seed = commands.add_parser("seed", help="fill an empty database")
    seed.add_argument("--database", required=True, metavar="URL", help="postgresql://...")
    seed.add_argument(
        "--password-file", type=Path, required=True, help="holds the password of all people"
    )
    _add_amounts(seed)
    seed.set_defaults(run=_seed)
    cluster = commands.add_parser("cluster", help="only the embedded PostgreSQL")
    cluster.add_argument("action", choices=("start", "stop"))
    cluster.add_argument("--dir", type=Path, required=True)
    cluster.set_defaults(run=_cluster)
    return parser


def _add_server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--faults", action="store_true", help="allow faults on order (/_faults)")
    parser.add_argument("--ready-file", type=Path, help="written when requests are answered")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second of one user")
    parser.add_argument("--burst", type=float, default=400.0, help="requests of one user at once")
    parser.add_argument("--token-seconds", type=int, default=8 * 3600, help="life of a log-in")


def _add_amounts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--contacts", type=int, default=20_000)
    parser.add_argument("--users", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--defects", type=float, default=1.0, help="multiplies the planted rates")


if __name__ == "__main__":
    sys.exit(main())
