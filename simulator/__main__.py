"""Serve the simulated cloud until SIGTERM or Ctrl-C: `python -m simulator --help`."""

import argparse
import asyncio
import json
import signal
from pathlib import Path

import trustme

from simulator.active_directory import DOMAIN, JOIN_PASSWORD, JOIN_USER
from simulator.cloud import (
    CLIENT_ID,
    CLIENT_SECRET,
    RESOURCE_GROUP,
    SECOND_SUBSCRIPTION_ID,
    SUBSCRIPTION_ID,
    TENANT_ID,
    Cloud,
)
from simulator.server import SimulatorServer
from simulator.windows.guest import DEFECTS


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--ca-file", type=Path, required=True, help="where the CA certificate is written")
    parser.add_argument("--speed", type=float, default=60.0, help="how many times faster than Azure; inf is no delay")
    parser.add_argument("--seed", type=int, default=0, help="seed of the ids")
    parser.add_argument(
        "--defect", action="append", default=[], choices=sorted(DEFECTS), help="the next machine is born with it"
    )
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(arguments.ca_file)
    cloud = Cloud(speed=arguments.speed, seed=arguments.seed)
    cloud.defects.update(arguments.defect)
    async with SimulatorServer(cloud, authority, port=arguments.port):
        environment = {
            "AZURE_AUTHORITY_HOST": cloud.base_url,
            "AZURE_RESOURCE_MANAGER_URL": cloud.base_url,
            "MICROSOFT_GRAPH_URL": cloud.base_url,
            "AZURE_TENANT_ID": TENANT_ID,
            "AZURE_CLIENT_ID": CLIENT_ID,
            "AZURE_CLIENT_SECRET": CLIENT_SECRET,
            "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION_ID,
            "AZURE_RESOURCE_GROUP": RESOURCE_GROUP,
            "SSL_CERT_FILE": str(arguments.ca_file),
            # Of the account that may join the simulated domain, as a connection's adDomainPassword names it.
            "CLOUD_PC_JOIN_PASSWORD": JOIN_PASSWORD,
            "CLOUD_PC_DOMAIN_SECRETS": f"CLOUD_PC_JOIN_PASSWORD {DOMAIN} {JOIN_USER}",
            "CLOUD_PC_ALLOWED_RESOURCES": f"/subscriptions/{SUBSCRIPTION_ID} /subscriptions/{SECOND_SUBSCRIPTION_ID}",
        }
        # One line, when it is ready: what a client's environment must hold.
        print(json.dumps(environment), flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(_serve(_arguments()))
