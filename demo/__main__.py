"""`python -m demo`: builds the parts, starts the server, says when the page answers.

`python -m demo adduser` makes accounts.

Gradio and torch are imported once the settings and the address are known to be good: a wrong word is told at once.
"""

import errno
import getpass
import http.client
import ipaddress
import logging
import random
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from demo.accounts import Accounts, Role, add, plain, refuse_bad_name
from demo.classroom import Classroom
from demo.explanations import Explanations
from demo.feedback_room import FeedbackRoom
from demo.identity import SESSION_SECONDS, Visitors, load_secret
from demo.leaderboards import Leaderboards
from demo.lessons import ThumbReasons
from demo.nightly import Nightly
from demo.nights import Nights
from demo.outlook import Outlook
from demo.probation_watch import ProbationWatch
from demo.rank_room import RankRoom
from demo.receipt_desk import ReceiptDesk
from demo.training_child import children_end
from demo.version_room import VersionRoom
from nightschool.errors import AddressInUse, BadInput, NightSchoolError
from nightschool.feedback import FeedbackStore
from nightschool.nightly_clock import NightlyClock
from nightschool.nightly_dates import NightlyDates
from nightschool.records import Sampling
from nightschool.registry import NightBook, VersionRegistry
from nightschool.schema import FeedbackDatabase
from nightschool.sessions import EndedSessions
from nightschool.settings import EMBEDDED, Settings, load_settings

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

    from nightschool.embedded_engine import EmbeddedEngine

STOPPED = "NightSchool has stopped."

program = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@program.callback(invoke_without_command=True)
def serve(
    context: typer.Context,
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on (default 127.0.0.1).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (default 7860); 0 takes a free one.")] = None,
    db: Annotated[Path | None, typer.Option(help="The database (default feedback.db).")] = None,
    versions: Annotated[Path | None, typer.Option(help="Folder of the trained versions (default versions).")] = None,
    model: Annotated[str | None, typer.Option(help="'embedded', a Hugging Face id, or a model folder.")] = None,
    duel_share: Annotated[float | None, typer.Option(help="Share of turns answered twice (default 0.2).")] = None,
    nightly: Annotated[
        str | None,
        typer.Option(
            help="Local time of a night every day, as 02:30 (default off); the School page may choose another."
        ),
    ] = None,
    nightly_zone: Annotated[str | None, typer.Option(help="Its time zone (default: the machine's).")] = None,
    auth: Annotated[Path | None, typer.Option(help="Accounts file: only who stands in it may log in.")] = None,
    open_to_all: Annotated[
        bool, typer.Option("--open", help="Without accounts, also where other machines can reach the page.")
    ] = False,
) -> None:
    """Chat on a web page and judge the answers; the night learns from the judgements."""
    if context.invoked_subcommand is not None:
        return
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    try:
        settings = load_settings(
            host=host,
            port=port,
            db=db,
            versions=versions,
            model=model,
            duel_share=duel_share,
            auth=auth,
            nightly=nightly,
            nightly_zone=nightly_zone,
        )
        accounts = open_accounts(settings, open_to_all=open_to_all)
        with closing(open_address(settings.host, settings.port)) as listener:
            run(settings, listener, accounts)
        typer.echo(STOPPED)  # the server may end without raising what ended it
    except NightSchoolError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        typer.echo(STOPPED)


@program.command()
def adduser(
    file: Annotated[Path, typer.Argument(help="The accounts file; made where there is none.")],
    name: Annotated[str, typer.Argument(help="The name to log in with.")],
    *,
    owner: Annotated[bool, typer.Option(help="May start nights and see everybody's feedback.")] = False,
) -> None:
    """Add an account, or give one a new password (its sessions end). Asks for the password, or reads it from stdin."""
    try:
        refuse_bad_name(plain(name))
        is_new = add(file, name, ask_password(), Role.OWNER if owner else Role.USER)
    except NightSchoolError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    told = "may log in now" if is_new else "has a new password"
    typer.echo(f"{plain(name)} ({Role.OWNER if owner else Role.USER}) {told}: {file}")


def ask_password() -> str:
    """Twice at a terminal, otherwise one line of stdin. Raises `BadInput` when the two differ."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != password:
        raise BadInput("The two passwords differ; start again.")
    return password


def open_accounts(settings: Settings, *, open_to_all: bool) -> Accounts | None:
    """The accounts, where there is a file. Raises `BadInput` where anybody could come in and nobody said they may."""
    if settings.auth is not None:
        if open_to_all:
            raise BadInput("Both --auth and --open were given; leave one out: accounts, or open to everybody.")
        accounts = Accounts(settings.auth)
        if all(account.role is not Role.OWNER for account in accounts.all().values()):
            typer.echo(f"No account in {settings.auth} is an owner's: nobody can start nights from the page.")
        return accounts
    if not is_loopback(settings.host) and not open_to_all:
        raise BadInput(
            f"Other machines can reach {settings.host}, and there are no accounts; give an accounts file with --auth "
            "(make one with `python -m demo adduser FILE NAME --owner`), or let everybody in with --open."
        )
    return None


def run(settings: Settings, listener: socket.socket, accounts: Accounts | None) -> None:
    """Build everything on an address that is already ours, then serve until a signal."""
    with closing(FeedbackDatabase(settings.db)) as database, closing(open_engine(settings)) as engine:
        from demo.web import create_app, secret_path

        store, registry, book = FeedbackStore(database), VersionRegistry(database), NightBook(database)
        store.close_abandoned_replies()
        sampling = Sampling(settings.temperature, settings.max_new_tokens)
        classroom = Classroom(
            store,
            registry,
            engine,
            sampling=sampling,
            duel_share=settings.duel_share,
            chance=drawn_by(settings.seed, "chat"),
            reasons=ThumbReasons(settings.thumb_reasons_up, settings.thumb_reasons_down),
        )
        if warning := classroom.warm_up():
            typer.echo(warning)
        nights = Nights(book, db=database.path, versions=settings.versions, environment=night_environment(settings))
        rank_room = RankRoom(
            store,
            registry,
            engine,
            sampling=sampling,
            count=settings.rank_replies,
            chance=drawn_by(settings.seed, "rank"),
        )
        app = create_app(
            classroom=classroom,
            nights=nights,
            outlook=Outlook(store, db=database.path, environment=night_environment(settings)),
            explanations=Explanations(
                db=database.path, versions=settings.versions, environment=night_environment(settings)
            ),
            book=book,
            visitors=Visitors(
                load_secret(secret_path(database.path)),
                accounts,
                EndedSessions(database, kept_seconds=SESSION_SECONDS),
            ),
            model_name=short_name(engine.model_name),
            is_small=settings.model == EMBEDDED,
            effort=settings.effort,
            rank_room=rank_room,
            feedback_room=FeedbackRoom(store, engine, registry, leave=rank_room.leave),
            version_room=open_version_room(settings, store, registry, book, engine, classroom),
            host_names=[settings.host, socket.gethostname(), *settings.host_names],
        )
        words = f"model {engine.model_name}, version {registry.champion().id}, database {database.path}"
        with (
            children_end(),
            closing(rank_room),
            closing(ProbationWatch(store, registry)) as watch,
            nightly_nights(settings, nights, database),
        ):
            watch.start()
            serve_app(app, settings.host, listener, words, is_open=accounts is None)


def open_version_room(
    settings: Settings,
    store: FeedbackStore,
    registry: VersionRegistry,
    book: NightBook,
    engine: "EmbeddedEngine",
    classroom: Classroom,
) -> VersionRoom:
    """The Versions page's use cases, with what asks the training side for it."""
    environment = night_environment(settings)
    return VersionRoom(
        store,
        registry,
        book,
        engine,
        versions=settings.versions,
        leaderboards=Leaderboards(store, registry, db=settings.db, environment=environment),
        receipts=ReceiptDesk(store, registry, db=settings.db, versions=settings.versions, environment=environment),
        trials=classroom.trials,
    )


@contextmanager
def nightly_nights(settings: Settings, nights: Nights, database: FeedbackDatabase) -> Iterator[None]:
    """Nights by the timetable, at the time that the settings or the owner name, until the block ends."""
    nights.timetable = timetable = Nightly(
        nights,
        NightlyDates(database),
        NightlyClock(database),
        clock=settings.nightly,
        zone_name=settings.nightly_zone,
        effort=settings.effort,
    )
    with closing(timetable):
        timetable.start()
        yield


def open_engine(settings: Settings) -> "EmbeddedEngine":
    """The engine on the base model of the settings. Raises `ModelUnavailable`."""
    from nightschool.embedded_engine import EmbeddedEngine
    from nightschool.model import base_of

    return EmbeddedEngine(
        base_of(settings),
        settings.versions,
        max_prompt_tokens=settings.max_prompt_tokens,
        max_new_tokens=settings.max_new_tokens,
        resident=settings.resident_versions,
    )


def drawn_by(seed: int | None, what: str) -> random.Random:
    """A generator of its own for each thing that draws by chance; without a seed, another one at every start."""
    return random.Random() if seed is None else random.Random(f"{seed}/{what}")


def night_environment(settings: Settings) -> dict[str, str]:
    """What a night needs to know of this server's settings; it runs in another folder, so paths are whole."""
    folder = Path(settings.model)
    return {
        "NIGHTSCHOOL_MODEL": str(folder.resolve()) if folder.is_dir() else settings.model,
        "NIGHTSCHOOL_CACHE": str(settings.cache.resolve()),
        # The night trains the distribution that is served.
        "NIGHTSCHOOL_TEMPERATURE": str(settings.temperature),
        "NIGHTSCHOOL_MAX_NEW_TOKENS": str(settings.max_new_tokens),
        "NIGHTSCHOOL_PROMOTION": settings.promotion,
    }


def short_name(model: str) -> str:
    """A model's name as visitors see it: without the folder or organisation it comes from."""
    return model.rstrip("/").rsplit("/", 1)[-1]


def open_address(host: str, port: int) -> socket.socket:
    """A listening socket, taken before the model is loaded. Raises `AddressInUse` or `BadInput`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AddressInUse(
                f"The address {host}:{port} is taken by another program; stop it, or choose another port with --port "
                "(0 takes a free one)."
            ) from error
        raise BadInput(
            f"The address {host}:{port} cannot be used ({error.strerror or error}); give an address of this machine "
            "with --host and a port above 1023 with --port."
        ) from error


def serve_app(app: "FastAPI", host: str, listener: socket.socket, words: str, *, is_open: bool) -> None:
    """Serve on the socket until Ctrl-C or SIGTERM; announce the address once the page answers."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3))
    port = int(listener.getsockname()[1])
    if is_open and not is_loopback(host):
        typer.echo(f"Everyone who can reach {host}:{port} can chat and vote; there are no accounts.")
    threading.Thread(target=announce, args=(server, host, port, words), daemon=True).start()
    server.run(sockets=[listener])


def announce(server: "uvicorn.Server", host: str, port: int, words: str) -> None:
    """Say where NightSchool answers, after a real request for the page was answered."""
    while not server.started:
        if server.should_exit:
            return
        time.sleep(0.02)
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    with closing(http.client.HTTPConnection(shown, port, timeout=30)) as connection:
        connection.request("GET", "/")
        answer = connection.getresponse()
        answer.read()
    if answer.status in {http.client.OK, http.client.SEE_OTHER}:  # the page, or the way to the log-in
        address = f"[{shown}]" if ":" in shown else shown
        typer.echo(f"NightSchool answers on http://{address}:{port} ({words})")
    else:
        typer.echo(f"The page answers with status {answer.status}; see the messages above.", err=True)
    sys.stdout.flush()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


if __name__ == "__main__":
    program()
