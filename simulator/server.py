"""The simulated cloud as an HTTPS server: one port for Entra ID, Azure Resource Manager, Graph and Key Vault."""

import contextlib
import json
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

import trustme
from aiohttp import web

from simulator.arm.manager import ResourceManager
from simulator.cloud import Cloud
from simulator.control import Control
from simulator.entra import TokenService
from simulator.faults import Fault
from simulator.graph import Graph
from simulator.key_vault import KeyVault
from simulator.ledger import ENTRY, LEDGER_ENTRY, PATH, kind
from simulator.services import Service, service_of

MUTATING_METHODS = frozenset({"PUT", "POST", "PATCH", "DELETE"})
_NO_ANSWER = 0
"""The status of what is never sent."""

Handler = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(frozen=True)
class Exchange:
    """One request and its answer.

    Attributes:
        method: HTTP method.
        path: Path without query, decoded, repeated slashes folded.
        query: Query parameters as sent, decoded.
        request_headers: Headers of the request; their names are compared ignoring case.
        request_body: Body of the request, empty where none was sent.
        status: HTTP status of the answer.
        response_headers: Headers of the answer; their names are compared ignoring case.
        response_body: Body of the answer, empty where there is none.

    """

    method: str
    path: str
    query: Mapping[str, str]
    request_headers: Mapping[str, str]
    request_body: bytes
    status: int
    response_headers: Mapping[str, str]
    response_body: bytes


class SimulatorServer:
    """Serves one `Cloud` over HTTPS on loopback; use it as an asynchronous context manager.

    Args:
        cloud: The cloud to serve; its `base_url` is set when the server starts.
        authority: The certificate authority that signs the server's certificate; clients must trust it.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.

    Attributes:
        cloud: The cloud it serves.
        observer: Called with every exchange before its answer goes out, or None.
        watcher: Awaited for every request to Azure Resource Manager, Graph and Key Vault: `before` it takes effect,
            `during`, between its effect and its answer, and `after` the answer was sent; or None.

    """

    def __init__(self, cloud: Cloud, authority: trustme.CA, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.cloud = cloud
        self.observer: Callable[[Exchange], None] | None = None
        self.watcher: Callable[[Literal["before", "during", "after"], web.Request], Awaitable[None]] | None = None
        self._tokens = tokens = TokenService(cloud)
        self._handlers: dict[Service | None, Handler] = {
            "control": Control(cloud).handle,
            "arm": ResourceManager(cloud, tokens).handle,
            "graph": Graph(cloud, tokens).handle,
            "key vault": KeyVault(cloud, tokens).handle,
            "token": tokens.handle,
            None: tokens.handle,
        }
        self._host, self._port = host, port
        self._ssl = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost", host).configure_cert(self._ssl)  # pyright: ignore[reportUnknownMemberType]
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, ssl_context=self._ssl)
        await site.start()
        self.cloud.base_url = f"https://localhost:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.cloud.close()
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        # The Graph SDK sends "/v1.0//users" to the real service too, which folds the slashes.
        request[PATH] = re.sub(r"/{2,}", "/", request.path)
        watcher = self.watcher if service_of(request[PATH]) in ("arm", "graph", "key vault") else None
        if watcher:
            await watcher("before", request)
        response = await self._observed(request)
        if watcher:
            await watcher("during", request)
            # Who waited for the answer may be gone.
            with contextlib.suppress(ConnectionResetError):
                await response.prepare(request)
                await response.write_eof()
            await watcher("after", request)
        return response

    async def _observed(self, request: web.Request) -> web.StreamResponse:
        response = await self._answer(request)
        if self.observer is not None:
            body = response.body if isinstance(response, web.Response) else None
            self.observer(
                Exchange(
                    method=request.method,
                    path=request[PATH],
                    query=request.query,
                    request_headers=request.headers,
                    request_body=await request.read(),
                    status=response.status,
                    response_headers=response.headers,
                    response_body=body if isinstance(body, bytes) else b"",
                )
            )
        return response

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path: str = request[PATH]
        service = service_of(path)
        handler = self._handlers[service]
        if service != "control":
            self.cloud.ledger.requests[kind(request.method, path)] += 1
        if request.method not in MUTATING_METHODS or service in ("control", "token"):
            ENTRY.set(None)
            return await self._handle(handler, request, path)
        entry = self.cloud.ledger.open(self.cloud.clock.timestamp(), request.method, path)
        request[LEDGER_ENTRY] = entry
        ENTRY.set(entry)
        response = await self._handle(handler, request, path)
        entry.status = response.status
        entry.error_code = _error_code(response)
        return response

    async def _handle(self, handler: Handler, request: web.Request, path: str) -> web.StreamResponse:
        faults = self.cloud.faults
        if fault := faults.take(request.method, path, "before"):
            return await self._spoilt(request, fault, web.Response())
        response = await handler(request)
        if fault := faults.take(request.method, path, "after"):
            return await self._spoilt(request, fault, response)
        return response

    async def _spoilt(self, request: web.Request, fault: Fault, response: web.Response) -> web.StreamResponse:
        match fault.how:
            case "late":
                await self.cloud.faults.until_late(fault)
                return response
            case "half":
                return await _half(request, response)
            case "reset":
                _abort(request)
                return web.Response(status=_NO_ANSWER)
            case _:
                body = fault.body()
                if isinstance(body, str):
                    return web.Response(text=body, status=fault.status, headers=fault.headers)
                return web.json_response(body, status=fault.status, headers=fault.headers)


def _abort(request: web.Request) -> None:
    """Break the connection without a word."""
    if request.transport is not None:
        request.transport.abort()


async def _half(request: web.Request, response: web.Response) -> web.StreamResponse:
    """Send the first half of an answer, nothing of an empty one, and break the connection."""
    body = response.body if isinstance(response.body, bytes) else b""
    if not body:
        _abort(request)
        return web.Response(status=_NO_ANSWER)
    half = web.StreamResponse(status=response.status, headers={**response.headers, "Content-Length": str(len(body))})
    await half.prepare(request)
    await half.write(body[: len(body) // 2])
    _abort(request)
    return half


def _error_code(response: web.StreamResponse) -> str | None:
    if response.status < 400 or not isinstance(response, web.Response) or not response.text:
        return None
    try:
        body = json.loads(response.text)
    except ValueError:
        return None
    match body:
        case {"error": {"code": str(code)}} | {"code": str(code)}:
            return code
        case _:
            return None
