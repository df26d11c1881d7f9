"""The simulator's own address, `/simulator`: what exists, what happened, and rules that break things."""

from dataclasses import asdict
from typing import Any, cast

from aiohttp import web

from simulator.active_directory import JOIN_USER
from simulator.cloud import Cloud
from simulator.fault_plan import FaultPlan
from simulator.faults import Fault
from simulator.ledger import PATH
from simulator.windows.guest import DEFECTS


class Control:
    """Answers under `/simulator`; needs no token, for it exists in no real cloud.

    - `GET /simulator/ledger`: every mutating request in order, with its outcome.
    - `GET /simulator/requests`: how many requests of each kind there were, reads included.
    - `GET /simulator/inventory`: the resources, directory objects, computer accounts and guests that exist.
    - `POST /simulator/faults` `{"method": ..., "path": ..., "when": ..., "how": ...}`: put a `Fault` in force. `how`:
      `answer` of `status` and `code`, `reset`, `half` an answer or a `late` one, operation `canceled` or `gone`.
    - `POST /simulator/fault-plan` `{"seed": n, "rates": {kind: rate}}`: put a `FaultPlan` in force in place of the one
      before; `GET`: how often each kind has struck; `DELETE`: end its faults.
    - `POST /simulator/defects` `{"defect": ..., "guests": n}`: the next n machines are born with it.
    - `POST /simulator/groups` `{"displayName": ..., "users": n, "licenses": [skuPartNumber, ...]}`: make a group of so
      many new users, licensed so; answers its `id`.
    - `POST /simulator/quota` `{"region": ..., "limit": n}`: set every compute quota of a region.
    - `POST /simulator/domain` `{"password": ..., "reachable": ..., "synchronizes": ...}`: change the password of the
      account that joins, whether the domain controller answers, whether Entra Connect runs; any of them.
    """

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        match request.method, request[PATH].rstrip("/"):
            case "GET", "/simulator/ledger":
                return web.json_response(self._cloud.ledger.as_json())
            case "GET", "/simulator/requests":
                return web.json_response(self._cloud.ledger.requests)
            case "GET", "/simulator/inventory":
                return web.json_response(self.inventory())
            case "POST", "/simulator/faults":
                try:
                    self._cloud.faults.add(Fault(**await request.json()))
                except (TypeError, ValueError) as error:
                    return web.json_response({"error": f"fault: {error}"}, status=400)
                return web.json_response({}, status=201)
            case "GET", "/simulator/fault-plan":
                return web.json_response(self._cloud.faults.plan.fired if self._cloud.faults.plan else {})
            case "POST", "/simulator/fault-plan":
                try:
                    plan = self._fault_plan(await request.json())
                except ValueError as error:
                    return web.json_response({"error": f"fault-plan: {error}"}, status=400)
                self._end_faults()
                self._cloud.faults.plan = plan
                return web.json_response({}, status=201)
            case "DELETE", "/simulator/fault-plan":
                self._end_faults()
                return web.json_response({})
            case "POST", "/simulator/defects":
                body = await request.json()
                defect, guests = body.get("defect"), body.get("guests", 1)
                if defect not in DEFECTS or not isinstance(guests, int):
                    return web.json_response({"error": f"defect: one of {', '.join(sorted(DEFECTS))}"}, status=400)
                self._cloud.defects[defect] = guests
                return web.json_response({}, status=201)
            case "POST", "/simulator/groups":
                return self._add_group(await request.json())
            case "POST", "/simulator/quota":
                return self._set_quota(await request.json())
            case "POST", "/simulator/domain":
                return self._change_domain(await request.json())
            case _:
                return web.json_response({"error": "no such address of the simulator"}, status=404)

    def _fault_plan(self, body: Any) -> FaultPlan:
        fields = cast(dict[str, Any], body) if isinstance(body, dict) else {}
        seed, rates = fields.get("seed"), fields.get("rates", {})
        if fields.keys() - {"seed", "rates"} or type(seed) is not int or not isinstance(rates, dict):
            raise ValueError('{"seed": a whole number, "rates": {kind: number from 0 to 1}} is wanted, rates or not')
        return FaultPlan(seed, self._cloud.clock, rates=cast(dict[str, Any], rates))

    def _end_faults(self) -> None:
        if self._cloud.faults.plan:
            self._cloud.faults.plan.stop()

    def _add_group(self, body: dict[str, Any]) -> web.Response:
        match body:
            case {"displayName": str(name), "users": int(users), "licenses": [*licenses]}:
                try:
                    id = self._cloud.directory.add_group(name, users, licenses)
                except ValueError as error:
                    return web.json_response({"error": str(error)}, status=400)
                return web.json_response({"id": id}, status=201)
            case _:
                return web.json_response({"error": "groups: displayName, users and licenses"}, status=400)

    def _set_quota(self, body: dict[str, Any]) -> web.Response:
        match body:
            case {"region": str(region), "limit": int(limit)}:
                try:
                    self._cloud.resources.capacity.set_limit(region, limit)
                except ValueError as error:
                    return web.json_response({"error": str(error)}, status=400)
                return web.json_response({})
            case _:
                return web.json_response({"error": "quota: region and limit"}, status=400)

    def _change_domain(self, body: dict[str, Any]) -> web.Response:
        domain = self._cloud.active_directory
        types = {"password": str, "reachable": bool, "synchronizes": bool}
        if not body or any(not isinstance(value, types.get(name, ())) for name, value in body.items()):
            return web.json_response({"error": "domain: password, reachable or synchronizes"}, status=400)
        domain.accounts[JOIN_USER].password = body.get("password", domain.accounts[JOIN_USER].password)
        domain.reachable = body.get("reachable", domain.reachable)
        domain.synchronizes = body.get("synchronizes", domain.synchronizes)
        domain.changed()
        return web.json_response({})

    def inventory(self) -> dict[str, object]:
        """Return what exists: ARM ids by type, directory objects by kind, guests by ARM id."""
        return {
            "resources": self._cloud.resources.inventory(),
            **self._cloud.directory.inventory(),
            "computers": self._cloud.active_directory.inventory(),
            "guests": {vm_id: asdict(guest) for vm_id, guest in self._cloud.guests.items()},
        }
