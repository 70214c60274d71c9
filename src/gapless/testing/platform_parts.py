"""The platform as a simulation drives it: journal and gateway, lake, and ledger, each a process.

The gateway's way of a request is the product's own coroutine (``Intake.accept``, ``ClaimsIntake.accept``),
run by a loop without threads; the journal is ``LocalJournal``, whose group commit is called from a timer
where the product has a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import msgspec

from gapless.gateway.administration import Administration
from gapless.gateway.chains import Fences
from gapless.gateway.claims import ClaimsIntake
from gapless.gateway.intake import Intake
from gapless.gateway.problems import problem_response
from gapless.gateway.routes import BatchResults, Keys, PublicKey
from gapless.gateway.settings import GatewaySettings
from gapless.gateway.tokens import Token
from gapless.gateway.worker import Worker
from gapless.journal import local
from gapless.journal.local import LocalJournal
from gapless.log.reader import LogReader
from gapless.model.claim import Loss
from gapless.model.errors import Corrupt, GaplessError, Unavailable
from gapless.model.finding import Finding
from gapless.platform.books import Bookkeeper
from gapless.testing.aio import InlineExecutor, InlineLoop
from gapless.testing.network import HttpAnswer
from gapless.testing.platform_stores import (
    MemoryLakeWriter,
)
from gapless.testing.process import Process, ProcessDisk

if TYPE_CHECKING:
    from gapless.testing.platform_host import PlatformHost

JOURNAL = "/platform/journal"
_RETRY_US = 1_000_000
_TOKEN = Token(id="t", sha256="", tenant="*", scope="admin", created_us=0, by="simulation")


class StepJournal(LocalJournal):
    """The local journal without its thread."""

    def _run(self) -> None:
        """Nothing: ``pump`` does one turn of it."""

    def pump(self) -> None:
        """Commit what waits, and tell who waits for it."""
        if self._queue:
            group = self._next_group()
            outcome = self._commit(group)
            self._account(group, outcome, self._monotonic_s())
            local._tell(group, outcome)


class Part:
    """One of the platform's processes; started anew a moment after it ended."""

    def __init__(self, host: PlatformHost, name: str) -> None:
        self.host = host
        self.world = host.world
        self.process = Process(f"platform/{name}", host.world.loop, self._ended)
        self.disk = ProcessDisk(host.disk, self.process)

    def _ended(self, process: Process, why: str) -> None:
        self.world.fault("process killed at an effect", f"{process.name} {why}")
        self.world.loop.after(_RETRY_US, self.host.start)


class GatewayProcess(Part):
    """Takes batches and claims."""

    def __init__(self, host: PlatformHost) -> None:
        super().__init__(host, "gateway")
        self.serves = False
        self._pumping = False

    def begin(self) -> None:
        host = self.host
        try:
            self._journal = StepJournal(
                self.disk,
                JOURNAL,
                segment_bytes_max=64 << 10,
                monotonic_s=lambda: host.world.loop.now_s,
            )
        except (Unavailable, Corrupt) as error:
            self.world.tell(f"{self.process.name}: {error}")
            self.process.after(_RETRY_US, self.begin)
            return
        host.index.open(self._journal.reader(), anew=host.random.random() < 0.2)
        self._fences = Fences()
        for key in host.index.fences():
            self._fences.add(key)
        options: dict[str, Any] = {
            "settings": GatewaySettings(),
            "metrics": _NoMetrics(),
            "now_us": host.clock.now_us,
            "worker": Worker("inline", thread=InlineExecutor(), monotonic_s=lambda: host.world.loop.now_s),
        }
        index: Any = host.index
        self._loop = InlineLoop()
        self._intake = Intake(self._journal, index, host.signer, self._fences, **options)
        self._claims = ClaimsIntake(self._journal, index, self._fences, **options)
        self._administration = Administration(self._journal, None, host.clock.now_us)  # type: ignore[arg-type]
        self.serves = True
        self._follow()

    def handle(self, path: str, body: bytes, answer: Callable[[HttpAnswer], None]) -> None:
        """What the routes do, after the token was found good and the body read."""
        match path:
            case "/v1/keys":
                keys = Keys(PublicKey("Ed25519", self.host.signer.public_key))
                answer(HttpAnswer(200, msgspec.json.encode(keys)))
            case "/v1/batches":
                self._serve(self._intake.accept(_TOKEN, body), answer, BatchResults)
            case "/v1/claims":
                self._serve(self._claims.accept(_TOKEN, body), answer, lambda result: result)
            case "/v1/findings":
                found = msgspec.json.decode(body, type=list[Finding])
                self._serve(self._administration.post_findings(found), answer, lambda _: {})
            case "/v1/losses":
                loss = msgspec.json.decode(body, type=Loss)
                self._serve(self._administration.declare_loss(loss, by="auditor"), answer, lambda _: {})

    def _serve(
        self,
        way: Coroutine[Any, Any, Any],
        answer: Callable[[HttpAnswer], None],
        shape: Callable[[Any], Any],
    ) -> None:
        def done(task: Any) -> None:
            error = task.exception()
            if error is None:
                answer(HttpAnswer(200, msgspec.json.encode(shape(task.result()))))
            elif isinstance(error, GaplessError):
                response = problem_response(error)
                retry_after = response.headers.get("retry-after", "1")
                answer(HttpAnswer(response.status_code, bytes(response.body), {"Retry-After": retry_after}))
            else:
                raise error

        self._loop.start(way, done)
        if not self._pumping:
            self._pumping = True
            self.process.after(self.host.random.randint(*self.host.sync_us), self._pump)

    def _pump(self) -> None:
        self._pumping = False
        self._journal.pump()
        self._loop.run_ready()
        if self._journal._queue:
            self._pumping = True
            self.process.after(self.host.random.randint(*self.host.sync_us), self._pump)

    def _follow(self) -> None:
        """As ``gateway.follower`` and ``Gateway._indexed``."""
        try:
            while (changes := self.host.index.step()) is not None:
                for key in changes.fences:
                    self._fences.add(key)
                self._loop.start(self._intake.indexed(changes.position), lambda task: task.result())
        except Unavailable as error:
            self.world.tell(f"{self.process.name}: {error}")
        self.process.poll(self.host.step_us, self.host.disk, self._follow)


class LakeProcess(Part):
    """Folds the journal into tables."""

    def __init__(self, host: PlatformHost) -> None:
        super().__init__(host, "lake")

    def begin(self) -> None:
        self._writer = MemoryLakeWriter(self.host.catalog, LogReader(self.disk, JOURNAL))
        self._step()

    def _step(self) -> None:
        try:
            if self._writer.step(self.host.clock.now_us()).entries:
                self.process.after(0, self._step)
            else:
                self.process.poll(self.host.step_us, self.host.disk, self._step)
        except Unavailable as error:
            self.world.tell(f"{self.process.name}: {error}")
            self.process.after(_RETRY_US, self._step)


class LedgerProcess(Part):
    """Keeps the books, audits them, and posts what the auditor tells."""

    def __init__(self, host: PlatformHost) -> None:
        super().__init__(host, "ledger")

    def begin(self) -> None:
        reader = LogReader(self.disk, JOURNAL)
        self._books = Bookkeeper(self.host.store, reader, self.host.catalog, allowed=self.host.allowed)
        self._posting = False
        self._doubt = True
        self._step()

    def _step(self) -> None:
        taken = 0
        try:
            taken = self._books.step(self.host.clock.now_us())
        except Unavailable as error:
            self.world.tell(f"{self.process.name}: {error}")
        else:
            if self._books.caught_up:
                self._doubt = False
        self.world.oracle.looked(self.host.store)
        self._post()
        self.process.after(0 if taken and not self._books.caught_up else self.host.step_us, self._step)

    def _post(self) -> None:
        """As ``platform.auditor_poster``: what is in doubt waits until the ledger has caught up."""
        outbox = self.host.store.outbox
        if self._posting or self._doubt or not outbox or not self.host.listening():
            return
        rows = [message for _, (_, message) in sorted(outbox.items())][:256]
        run = next((at for at, row in enumerate(rows) if row.kind != "finding"), len(rows))
        rows = rows[: run or 1]
        self._posting = True

        def done(answer: HttpAnswer) -> None:
            self._posting = False
            self._doubt = answer.status != 200
            if answer.status == 200:
                for row in rows:
                    outbox.pop(row.n, None)

        path, body = "/v1/losses", rows[0].message
        if rows[0].kind == "finding":
            path, body = "/v1/findings", b"[" + b",".join(row.message for row in rows) + b"]"
        gateway = self.host.gateway

        def check() -> None:
            if self._posting and self.host.gateway is not gateway:
                self._posting, self._doubt = False, True

        self.process.after(10_000_000, check)
        self.host.handle(path, body, lambda answer: self.process.run(lambda: done(answer)))


class _NoMetrics:
    """Counts nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments: None
