"""The platform as a simulation drives it: journal and gateway, lake, and ledger, each a process.

The gateway's way of a request is the product's own coroutine (``Intake.accept``, ``ClaimsIntake.accept``),
run by a loop without threads; the journal is ``LocalJournal``, whose group commit is called from a timer
where the product has a thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import msgspec

from gapless.gateway.administration import Administration
from gapless.gateway.chains import Fences
from gapless.gateway.claims import ClaimsIntake
from gapless.gateway.follower import Follower
from gapless.gateway.intake import Intake
from gapless.gateway.problems import problem_response
from gapless.gateway.routes import BatchResults, Keys, PublicKey
from gapless.gateway.tokens import Token
from gapless.gateway.worker import Worker
from gapless.journal.local import LocalJournal
from gapless.log.reader import LogReader
from gapless.model.claim import Loss
from gapless.model.errors import Corrupt, GaplessError, Unavailable
from gapless.model.finding import Finding
from gapless.platform import lake_follower, ledger_process
from gapless.platform.auditor_posting import Posting, Request, error_of
from gapless.platform.books import Bookkeeper
from gapless.testing.aio import InlineExecutor, InlineLoop
from gapless.testing.network import HttpAnswer
from gapless.testing.platform_stores import MemoryLake
from gapless.testing.process import Process, ProcessDisk

if TYPE_CHECKING:
    from gapless.testing.platform_host import PlatformHost

JOURNAL = "/platform/journal"
_RETRY_US = 1_000_000
_TOKEN = Token(id="t", sha256="", tenant="*", scope="admin", created_us=0, by="simulation")


class Gone(msgspec.Struct):
    """A stream that an operator ends."""

    stream: str
    reason: str


class StepJournal(LocalJournal):
    """The local journal without its thread."""

    def _run(self) -> None:
        """Nothing: ``pump`` does one turn of it."""

    def pump(self) -> None:
        """Commit what waits, and tell who waits for it."""
        if self._queue:
            self._take(self._next_group())


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
            "settings": host.settings,
            "metrics": _NoMetrics(),
            "now_us": host.clock.now_us,
            "worker": Worker("inline", thread=InlineExecutor(), monotonic_s=lambda: host.world.loop.now_s),
        }
        index: Any = host.index
        self._loop = InlineLoop()
        self._intake = Intake(self._journal, index, host.signer, self._fences, **options)
        self._claims = ClaimsIntake(self._journal, index, self._fences, **options)
        self._follower = Follower(
            index,
            self._intake.indexed,
            interval_s=0,
            worker=options["worker"],
            monotonic_s=options["worker"]._monotonic_s,
        )
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
            case "/v1/decommissions":
                gone = msgspec.json.decode(body, type=Gone)
                way = self._administration.decommission(gone.stream, gone.reason, by="operator")
                self._serve(way, answer, lambda _: {})
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
        def done(task: Any) -> None:
            if task.result():
                self.process.after(0, self._follow)
            else:
                self.process.poll(self.host.step_us, self.host.disk, self._follow)

        self._loop.start(self._follower.step(), done)


class LakeProcess(Part):
    """Folds the journal into tables."""

    def __init__(self, host: PlatformHost) -> None:
        super().__init__(host, "lake")

    def begin(self) -> None:
        self._lake = MemoryLake(self.host.catalog, LogReader(self.disk, JOURNAL))
        self._behind = threading.Event()
        self._step()

    def _step(self) -> None:
        wait_s = lake_follower.step(self._lake, self._behind, self.host.clock.now_us())
        if wait_s == lake_follower.IDLE_S:
            self.process.poll(self.host.step_us, self.host.disk, self._step)
        else:
            self.process.after(int(wait_s * 1e6), self._step)


class LedgerProcess(Part):
    """Keeps the books, audits them, and posts what the auditor tells."""

    def __init__(self, host: PlatformHost) -> None:
        super().__init__(host, "ledger")

    def begin(self) -> None:
        reader, loop = LogReader(self.disk, JOURNAL), self.world.loop
        self._books = Bookkeeper(self.host.store, reader, self.host.catalog, allowed=self.host.allowed)
        self._posting = Posting(self.host.store, lambda: loop.now_s)
        self._posts_at_s = 0.0
        self._step()

    def _step(self) -> None:
        now_us, now_s = self.host.clock.now_us(), self.world.loop.now_s
        wait_s = ledger_process.step(self._books, self._posting, now_us, now_s)
        self.world.oracle.looked(self.host.store)
        if now_s >= self._posts_at_s and (request := self._posting.next()) is not None:
            self._post(request)
        self.process.after(self.host.step_us if wait_s else 0, self._step)

    def _post(self, request: Request) -> None:
        """As ``Poster``, which waits for an answer so long, and a while after one that is no good."""
        waiting = True
        self._posts_at_s = float("inf")

        def finished(error: GaplessError | None) -> None:
            nonlocal waiting
            if waiting:
                waiting = False
                self._posts_at_s = self.world.loop.now_s + (0.0 if error is None else 1.0)
                self._posting.finished(request, error)

        def answered(answer: HttpAnswer) -> None:
            error = error_of(answer.status, answer.headers.get("Retry-After", ""), answer.data.decode())
            self.process.run(lambda: finished(error))

        self.process.after(10_000_000, lambda: finished(Unavailable("the gateway does not answer")))
        if self.host.listening():
            self.host.handle(request.path, request.body, answered)


class _NoMetrics:
    """Counts nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments: None
