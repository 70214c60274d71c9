"""A sample organisation: the tenant whose services write the records, one for all services of a seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from gapless.services import facts
from gapless.services.chance import Dice
from gapless.services.facts import Application, Device, Place

_USERS = 160
_WORKLOADS = 40
_ORGANISATIONS_KEPT_MAX = 16


@dataclass(frozen=True)
class Client:
    """A device of a user at one of their places."""

    device: Device
    device_id: str
    host: str
    place: Place
    address: str


@dataclass(frozen=True)
class User:
    """A person of the organisation; their most used client first."""

    name: str
    principal_name: str
    object_id: str
    department: str
    clients: tuple[Client, ...]


@dataclass(frozen=True)
class Workload:
    """A program with an identity of its own: a service principal or a managed identity."""

    name: str
    app_id: str
    object_id: str
    key_id: str
    address: str
    place: Place


@dataclass(frozen=True)
class Subscription:
    """An Azure subscription of the organisation."""

    name: str
    subscription_id: str


class Organisation:
    """Everything that stays the same from record to record; all of it follows from the seed.

    Building one takes about 5 ms. Users and workloads come in the order of their activity.
    """

    def __init__(self, seed: int) -> None:
        dice = Dice("organisation", seed)
        self.seed = seed
        self.company = dice.pick(facts.COMPANIES)
        self.domain = f"{self.company}.com"
        self.tenant_id = dice.guid()
        self.workspace_id = dice.guid()
        self.region = dice.pick(facts.REGIONS)
        self.applications: tuple[Application, ...] = facts.APPLICATIONS
        self.subscriptions = tuple(
            Subscription(f"{self.company}-{stage}", dice.guid()) for stage in ("prod", "test", "shared")
        )
        self.offices = tuple(dice.sample(facts.OFFICES, 3))
        names = dice.sample(list(product(facts.FIRST_NAMES.split(), facts.LAST_NAMES.split())), _USERS)
        self.users = tuple(self._user(dice, first, last) for first, last in names)
        self.workloads = tuple(self._workload(dice, number) for number in range(_WORKLOADS))

    @staticmethod
    @lru_cache(maxsize=_ORGANISATIONS_KEPT_MAX)
    def of(seed: int) -> Organisation:
        """The organisation of ``seed``, built once."""
        return Organisation(seed)

    def resource_id(self, group: str, provider: str, name: str, stage: int = 0) -> str:
        """The Azure Resource Manager id of a resource, e.g. of provider ``Microsoft.Logic/workflows``."""
        subscription = self.subscriptions[stage].subscription_id
        return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{provider}/{name}"

    def resource_columns(self, group: str, provider: str, name: str, stage: int = 0) -> dict[str, str]:
        """The two columns that tie a record to its resource; these are in lower case in every table."""
        return {
            "_ResourceId": self.resource_id(group, provider, name, stage).lower(),
            "_SubscriptionId": self.subscriptions[stage].subscription_id,
        }

    def _user(self, dice: Dice, first: str, last: str) -> User:
        mailbox = f"{first}.{last}".translate(facts.ASCII_LETTERS).lower()
        office = dice.pick(self.offices)
        clients = []
        for device in dice.sample(facts.DEVICES, 2):
            address = f"{office.network}.{dice.below(256)}.{1 + dice.below(254)}"
            host = f"{device.system[:3].upper()}-{dice.bytes(4).hex().upper()}"
            clients.append(Client(device, dice.guid(), host, office, address))
        return User(
            f"{first} {last}",
            f"{mailbox}@{self.domain}",
            dice.guid(),
            dice.pick(facts.DEPARTMENTS),
            tuple(clients),
        )

    def _workload(self, dice: Dice, number: int) -> Workload:
        role = dice.pick(("api", "sync", "deploy", "backup", "export", "monitor", "worker"))
        name = f"{self.company}-{dice.pick(facts.DEPARTMENTS)}-{role}-{number:02d}"
        place = dice.pick(self.offices)
        address = f"{place.network}.{dice.below(256)}.{1 + dice.below(254)}"
        return Workload(name, dice.guid(), dice.guid(), dice.guid(), address, place)
