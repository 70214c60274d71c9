"""Where the next attempt goes. Pure: no clock, no connection.

One URL is in use and is kept while it works. When it fails, it rests, and the one that failed least is
used. A URL that failed is tried by one attempt at a time until one gets an answer: however long an outage
lasts, it is met with one attempt per rest, not with all that there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from gapless.agent.dispatch import UploadSettings, backoff_s


class _Site:
    """What is known of one URL."""

    def __init__(self, url: str, now_s: float) -> None:
        self.url = url
        self.failures = 0
        self.news_s = now_s  # what attempts from before this time met is old news
        self.rest_until_s = now_s
        self.on_trial = False
        self.busy = False

    def open(self, now_s: float) -> bool:
        return not self.on_trial and self.rest_until_s <= now_s


class Endpoints:
    """Chooses among the URLs that were configured, in the order of preference.

    ``now_s`` is a clock that never steps; ``began_s`` is when the attempt began. Each that began must end
    in one of ``worked``, ``failed`` and ``busy``.
    """

    def __init__(self, settings: UploadSettings, random: Random) -> None:
        self.settings = settings
        self._random = random
        self._sites: list[_Site] = []
        self._at = 0
        self._failback_s = 0.0

    @property
    def current(self) -> str:
        """The URL in use."""
        return self._sites[self._at].url if self._sites else ""

    def reset(self, urls: Iterable[str], now_s: float) -> None:
        """The list or the token changed: begin with the first, and expect nothing of any."""
        self._sites = [_Site(url, now_s) for url in dict.fromkeys(urls)]
        self._at = 0

    def choose(self, now_s: float) -> str | None:
        """The URL for an attempt that begins now; None: wait, all of them rest."""
        if self._failback_due(now_s):
            return self._sites[0].url
        site = self._usable(now_s)
        return None if site is None else site.url

    def began(self, url: str, now_s: float) -> None:
        """An attempt at the URL that was chosen begins."""
        if self._failback_due(now_s):
            self._failback_s = now_s + self.settings.failback_s
        for site in self._sites:
            if site.url == url:
                site.on_trial = site.failures > 0

    def worked(self, url: str, began_s: float) -> None:
        """An attempt was answered as it should be."""
        at = self._index(url, began_s)
        if at is None:
            return
        site = self._sites[at]
        site.failures = 0
        site.on_trial = site.busy = False
        if at < self._at or self._sites[self._at].failures:
            self._use(at, began_s)

    def failed(self, url: str, began_s: float, now_s: float, *, slow: bool = False) -> float:
        """An attempt got no answer to go by; return for how many seconds its URL rests. ``slow``: as long
        as can be, for only people can change that."""
        at = self._index(url, began_s)
        if at is None:
            return 0.0
        site = self._sites[at]
        site.failures += 1
        site.on_trial = site.busy = False
        site.news_s = now_s
        # Half as long as a batch may wait: see the uploader, where batches wait twice as long as their URL.
        longest_s = self.settings.retry_max_s / 2
        rest_s = min(longest_s, backoff_s(self.settings, site.failures, self._random))
        rest_s = self.settings.retry_max_s if slow else rest_s
        site.rest_until_s = now_s + rest_s
        if at == self._at:
            self._use(min(range(len(self._sites)), key=lambda at: self._sites[at].failures), now_s)
        return rest_s

    def busy(self, url: str, began_s: float, now_s: float, retry_after_s: float) -> None:
        """The gateway said to come back later: it works, and another would not be less busy."""
        at = self._index(url, began_s)
        if at is None:
            return
        site = self._sites[at]
        site.on_trial = False
        site.busy = True
        rest_s = min(max(retry_after_s, self.settings.retry_min_s), self.settings.retry_max_s)
        site.rest_until_s = max(site.rest_until_s, now_s + rest_s)

    def _failback_due(self, now_s: float) -> bool:
        """Whether it is time to try the first in the list, while another is in use."""
        return self._at > 0 and now_s >= self._failback_s and not self._sites[0].on_trial

    def _usable(self, now_s: float) -> _Site | None:
        """The one in use, or else the first that is open, which is in use from now on."""
        if not self._sites:
            return None
        site = self._sites[self._at]
        if site.open(now_s):
            return site
        if site.busy and site.rest_until_s > now_s:
            return None
        for at, site in enumerate(self._sites):
            if site.open(now_s):
                self._use(at, now_s)
                return site
        return None

    def _use(self, at: int, now_s: float) -> None:
        if at != self._at:
            self._at = at
            self._failback_s = now_s + self.settings.failback_s

    def _index(self, url: str, began_s: float) -> int | None:
        """Where a URL stands; None if what an attempt met there is old news."""
        for at, site in enumerate(self._sites):
            if site.url == url:
                return at if began_s >= site.news_s else None
        return None
