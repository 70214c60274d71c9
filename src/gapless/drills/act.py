"""One act of a drill: a platform, an agent for each tenant, the files they follow, and what it comes to."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from gapless.drills.measure import losses, tally
from gapless.drills.outcome import ActOutcome, Verdict, act_outcome
from gapless.drills.platform_client import PlatformClient, StoredRow
from gapless.drills.processes import Process
from gapless.drills.tenant import AgentPlan, Tenant
from gapless.drills.workload import LogKey, Records, Workload
from gapless.model.errors import Unavailable
from gapless.platform.layout import admin_token_path

#: A log file is rotated when it holds so many lines.
_LINES_MAX = 50
_START_S_MAX = 60.0
_POLL_S = 0.5
_QUERY_S = 1.0


class ActPlan(NamedTuple):
    """``books``: whether the platform keeps any, and so finds anything."""

    agent: AgentPlan
    books: bool


class Act:
    """A context manager: the processes that it started end with it, its files stay.

    Methods raise Unavailable, with a sentence that says what did not happen, when a process ends by itself
    or a deadline passes.
    """

    def __init__(
        self,
        name: str,
        plan: ActPlan,
        directory: Path,
        records: Mapping[LogKey, Records],
        say: Callable[[str], None],
    ) -> None:
        self.name = name
        self.workload = Workload(directory / "logs", records, lines_max=_LINES_MAX)
        self.say = say
        self._directory = directory
        paths: dict[str, dict[LogKey, Path]] = defaultdict(dict)
        for log in records:
            paths[log.tenant][log] = self.workload.path(log)
        self.tenants = [Tenant(name, directory / name, logs, plan.agent) for name, logs in paths.items()]
        self._platform = Process(
            "the platform",
            "gapless.drills.platform_process",
            *(str(directory / "platform"), "books" if plan.books else "no-books"),
            log=directory / "platform.log",
        )
        self._client: PlatformClient
        self._watching: asyncio.Task[None] | None = None

    @property
    def stored(self) -> int:
        """Rows in the tables, as of the last look."""
        return sum(len(tenant.rows) for tenant in self.tenants)

    async def __aenter__(self) -> Act:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watching is not None:
            self._watching.cancel()
        await asyncio.gather(*(tenant.agent.stop() for tenant in self.tenants))
        await self._platform.stop()
        self.workload.close()

    async def start(self) -> None:
        """Start the platform, and then the agents."""
        ready = await self._platform.start(_START_S_MAX)
        url = ready.removeprefix("ready ")
        token = Path(admin_token_path(str(self._directory / "platform"))).read_text().strip()
        self._client = PlatformClient(url, token)
        for tenant in self.tenants:
            ingest = await asyncio.to_thread(self._client.ingest_token, tenant.name)
            await tenant.start(urlsplit(url).port or 0, ingest)

    async def write(self, share: float, over_s: float) -> None:
        """Bring all logs to ``share`` of their records, evenly over ``over_s`` seconds."""
        begun, begun_s = self.workload.emitted / self.workload.total, time.monotonic()
        while (elapsed_s := time.monotonic() - begun_s) < over_s:
            self.workload.write_to(begun + (share - begun) * elapsed_s / over_s)
            self._check()
            await asyncio.sleep(_POLL_S)
        self.workload.write_to(share)

    async def until(
        self,
        what: str,
        done: Callable[[Tenant], bool],
        timeout_s: float,
        *,
        meanwhile: Callable[[list[Tenant]], None] = lambda waiting: None,
        every_s: float = _POLL_S,
    ) -> None:
        """Wait until ``done`` was true for each tenant once; ``what`` says what that would be. ``meanwhile``
        is called again and again, with those that are waited for."""
        waiting, end_s = self.tenants, time.monotonic() + timeout_s
        while waiting := [tenant for tenant in waiting if not done(tenant)]:
            if time.monotonic() > end_s:
                names = ", ".join(tenant.name for tenant in waiting)
                raise Unavailable(f"{self.name}: {what}: not so for {names} within {timeout_s:.0f} s")
            self._check()
            meanwhile(waiting)
            await asyncio.sleep(every_s)

    async def until_stored(self, newest: Mapping[LogKey, str], timeout_s: float) -> dict[str, float]:
        """Wait until these records are in the tables; return for each tenant when, by the wall clock."""
        wanted: dict[str, dict[LogKey, str]] = defaultdict(dict)
        for log, record in newest.items():
            wanted[log.tenant][log] = record
        stored_at_s: dict[str, float] = {}
        end_s = time.monotonic() + timeout_s
        while waiting := [tenant for tenant in self.tenants if tenant.name not in stored_at_s]:
            if time.monotonic() > end_s:
                names = ", ".join(tenant.name for tenant in waiting)
                raise Unavailable(
                    f"{self.name}: the newest records of {names} were not stored within {timeout_s:.0f} s"
                )
            self._check()
            for tenant in waiting:
                if await self._has(tenant, wanted[tenant.name]):
                    stored_at_s[tenant.name] = time.time()
            await asyncio.sleep(_QUERY_S)
        return stored_at_s

    async def until_books(self, verdict: Verdict, timeout_s: float) -> None:
        """Wait until the audit of every tenant says this, and counts nothing as pending or missing."""
        end_s = time.monotonic() + timeout_s
        for tenant in self.tenants:
            while True:
                audit = await asyncio.to_thread(self._client.audit, tenant.name)
                open_ = audit["totals"]["pending"] + audit["totals"]["missing"]
                if audit["verdict"] == verdict and not open_:
                    break
                if time.monotonic() > end_s:
                    raise Unavailable(
                        f"{self.name}: the audit of {tenant.name} did not become {verdict} within "
                        f"{timeout_s:.0f} s: {'; '.join(audit['reasons'][:3])}"
                    )
                self._check()
                await asyncio.sleep(_POLL_S)

    def watch_findings(self) -> None:
        """From now on, note when the platform tells of each tenant that its uploads stand still."""
        self._watching = asyncio.create_task(self._watch_findings())

    async def outcome(self) -> ActOutcome:
        """Ask for every row and for the books, and count."""
        audits: dict[str, dict[str, Any]] = {}
        for tenant in self.tenants:
            tenant.rows = await asyncio.to_thread(self._client.rows, tenant.name, tenant.tables)
            try:
                audits[tenant.name] = await asyncio.to_thread(self._client.audit, tenant.name)
            except Unavailable:
                audits[tenant.name] = {"verdict": "unknown", "streams": []}  # there are no books
        tallies, rows = [], 0
        for tenant in self.tenants:
            lost = losses(audits[tenant.name])
            by_table = defaultdict(list)
            for row in tenant.rows:
                by_table[row.table].append(row)
            for log, file in self.workload.files.items():
                if log.tenant == tenant.name:
                    tallies.append(tally(log, file.emitted, by_table[log.table], lost.get(log, {})))
            rows += len(tenant.rows)
        return act_outcome(
            tallies,
            {tenant.name: tenant.times for tenant in self.tenants},
            strangers=rows - sum(each.stored + each.duplicates for each in tallies),
            verdicts={name: audit["verdict"] for name, audit in audits.items()},
        )

    async def _has(self, tenant: Tenant, records: Mapping[LogKey, str]) -> bool:
        """Whether these records are in a tenant's tables. One table is asked first: all are a heavy query."""
        log, record = next(iter(records.items()))
        if record not in {row.id for row in await self._rows(tenant, (log.table,))}:
            return False
        tenant.rows = await self._rows(tenant, tenant.tables) or tenant.rows
        return {row.id for row in tenant.rows}.issuperset(records.values())

    async def _rows(self, tenant: Tenant, tables: tuple[str, ...]) -> list[StoredRow]:
        """Rows as the platform gives them; none while it does not answer."""
        try:
            return await asyncio.to_thread(self._client.rows, tenant.name, tables)
        except Unavailable:
            return []

    async def _watch_findings(self) -> None:
        while waiting := [tenant for tenant in self.tenants if tenant.noticed_at_s is None]:
            for tenant in waiting:
                if await self._is_found(tenant):
                    tenant.noticed_at_s = time.time()
                    self.say(f"the platform says of {tenant.name}: uploads stand still")
            await asyncio.sleep(_POLL_S)

    async def _is_found(self, tenant: Tenant) -> bool:
        """Whether the platform tells of the fault; what it found before that is no such thing."""
        stuck_at_s = tenant.stuck_at_s
        if stuck_at_s is None:
            return False
        try:
            findings = await asyncio.to_thread(self._client.findings, tenant.name)
        except Unavailable:
            return False  # asked again
        return any(each.kind == "upload_stalled" and each.opened_us >= stuck_at_s * 1e6 for each in findings)

    def _check(self) -> None:
        """Raises what ended a process, or the watching."""
        self._platform.check()
        for tenant in self.tenants:
            tenant.agent.check()
        if self._watching is not None and self._watching.done():
            self._watching.result()
