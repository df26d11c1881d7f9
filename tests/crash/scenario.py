"""What one seed stands for: who gets Cloud PCs, what is wished of them meanwhile, and who dies when."""

import random
from dataclasses import dataclass
from typing import Any, Literal

from models.azure_network_connection import AzureNetworkConnection
from models.provisioning_policy import DomainJoinType, ProvisioningPolicy
from tests.workflows.conftest import connection, entra_connection, joining, policy

Moment = Literal["before", "during", "after"]
Blow = Literal["kill worker", "freeze worker", "kill server"]
Wish = Literal["reprovision", "deprovision", "cancel", "start again"]


FAST, SLOW = 300.0, 40.0
"""Speeds of the simulated cloud: operations end before a killed worker counts as dead, or after it."""


@dataclass(frozen=True)
class Strike:
    """Something dies at a request to the cloud.

    Attributes:
        requests: How many requests pass after the strike before.
        moment: Before the request's effect, after it but before the answer, or after the answer.
        blow: What dies.

    """

    requests: int
    moment: Moment
    blow: Blow


@dataclass(frozen=True)
class Wished:
    """A wish of the admin.

    Attributes:
        after: How many requests to the cloud come before it.
        wish: What it is.
        times: How often the signal arrives.

    """

    after: int
    wish: Wish
    times: int


@dataclass(frozen=True)
class CloudPcPlan:
    """One Cloud PC of a run: its user, policy and connections, and what is wished of it, in order."""

    user: str
    policy: ProvisioningPolicy
    connections: tuple[AzureNetworkConnection, ...]
    wishes: tuple[Wished, ...]


@dataclass(frozen=True)
class Scenario:
    """All that follows from a seed."""

    seed: int
    cloud_pcs: tuple[CloudPcPlan, ...]
    strikes: tuple[Strike, ...]
    workers: int
    fault_requests: int
    """How many requests to the cloud come until faults and blows end."""
    cloud_speed: float = FAST
    """How many times faster than Azure the simulated cloud is."""

    def __str__(self) -> str:
        parts = [
            f"seed {self.seed}: {self.workers} workers, faults for {self.fault_requests} requests, "
            f"cloud {self.cloud_speed:.0f} times faster than Azure"
        ]
        for pc in self.cloud_pcs:
            wishes = ", ".join(f"{wish.wish} x{wish.times} at request {wish.after}" for wish in pc.wishes) or "none"
            kind = pc.policy.domain_join_type
            where = pc.connections[0].id if pc.connections else "hosted network"
            settings = f"{pc.policy.user_account_type}, {pc.policy.windows_setting.locale}"
            parts.append(f"  {pc.user}: {kind}, {where}, {settings}; wishes: {wishes}")
        blows = ", ".join(f"{strike.blow} {strike.moment} +{strike.requests}" for strike in self.strikes)
        return "\n".join([*parts, f"  blows: {blows or 'none'}"])


_USERS = ("ada@contoso.com", "edsger@contoso.com", "grace@contoso.com")


def scenario(seed: int) -> Scenario:
    """Return what a seed stands for."""
    chance = random.Random(f"scenario/{seed}")
    users = chance.sample(
        ["ada@contoso.com", "edsger@contoso.com", "grace@contoso.com"], chance.choice((1, 1, 1, 1, 2))
    )
    fault_requests = len(users) * chance.randint(80, 300)
    strikes: list[Strike] = []
    for _ in range(chance.randint(1, 6)):
        blow: Blow = chance.choices(("kill worker", "freeze worker", "kill server"), (6, 4, 1))[0]
        moment: Moment = chance.choice(("before", "during", "after"))
        strikes.append(Strike(chance.randint(1, 40), moment, blow))
    cloud_pcs = tuple(_cloud_pc(chance, user, fault_requests) for user in users)
    workers = chance.choice((1, 1, 2))
    # A directory synchronisation takes up to an hour.
    may_be_slow = not any(pc.policy.domain_join_type == DomainJoinType.HYBRID_AZURE_AD_JOIN for pc in cloud_pcs)
    speed = chance.choice((FAST, SLOW)) if may_be_slow else FAST
    return Scenario(seed, cloud_pcs, tuple(strikes), workers, fault_requests, speed)


def _cloud_pc(chance: random.Random, user: str, fault_requests: int) -> CloudPcPlan:
    account: dict[str, Any] = {"userAccountType": chance.choice(("standardUser", "administrator"))}
    if chance.random() < 0.25:
        account["windowsSetting"] = {"locale": "de-DE"}
    connections: tuple[AzureNetworkConnection, ...] = ()
    if user.startswith("grace"):
        connections = (connection(),)
        made = joining("hybridAzureADJoin", *connections, hybridJoinTimeoutInMinutes=30, **account)
    elif chance.random() < 0.3:
        connections = (entra_connection(),)
        made = joining("azureADJoin", *connections, **account)
    else:
        made = policy(**account)
    wishes: list[Wished] = []
    for _ in range(chance.choice((0, 0, 0, 1, 1, 2))):
        wish: Wish = chance.choices(("reprovision", "deprovision", "cancel", "start again"), (5, 2, 2, 1))[0]
        wishes.append(
            Wished(chance.randint(1, 40 if wish == "cancel" else fault_requests), wish, chance.choice((1, 2, 2, 3)))
        )
    return CloudPcPlan(user, made, connections, tuple(sorted(wishes, key=lambda wished: wished.after)))
