"""The service itself: who may ask, which part answers, and how failures are told."""

from aiohttp import web

from simulator.cloud import Cloud
from simulator.entra import MICROSOFT_GRAPH, InvalidToken, TokenService
from simulator.graph.call import Call
from simulator.graph.entra_objects import EntraObjects
from simulator.graph.errors import GraphError, bad_request
from simulator.graph.intune_devices import IntuneDevices

_TOKEN_MESSAGES = {
    "AuthenticationFailed": "Access token is empty.",
    "ExpiredAuthenticationToken": "Lifetime validation failed, the token is expired.",
    "InvalidAuthenticationToken": "Access token validation failure. Invalid signature.",
    "InvalidAuthenticationTokenAudience": "Access token validation failure. Invalid audience.",
}


class Graph:
    """Answers under `/v1.0` and `/beta`."""

    def __init__(self, cloud: Cloud, tokens: TokenService) -> None:
        self._cloud = cloud
        self._tokens = tokens
        self._entra_objects = EntraObjects(cloud)
        self._intune_devices = IntuneDevices(cloud)

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        id = self._cloud.new_id("request")
        ids = {"request-id": id, "client-request-id": request.headers.get("client-request-id", id)}
        try:
            self._tokens.authorize(request, MICROSOFT_GRAPH)
            response = self._answer(await Call.read(request, id))
        except InvalidToken as refusal:
            error = GraphError(401, "InvalidAuthenticationToken", _TOKEN_MESSAGES[refusal.code])
            response = self._failure(error, ids)
            response.headers.update(refusal.headers)
        except GraphError as error:
            response = self._failure(error, ids)
        response.headers.update(ids)
        return response

    def _answer(self, call: Call) -> web.Response:
        root = call.segments[0] if call.segments else ""
        part = self._intune_devices if root == "deviceManagement" else self._entra_objects
        response = part.answer(call)
        if response is not None:
            return response
        if call.method == "GET":
            raise bad_request(f"Resource not found for the segment '{call.segments[-1] if call.segments else ''}'.")
        raise GraphError(405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.")

    def _failure(self, error: GraphError, ids: dict[str, str]) -> web.Response:
        date = self._cloud.clock.now().strftime("%Y-%m-%dT%H:%M:%S")
        body = {"error": {"code": error.code, "message": error.message, "innerError": {"date": date, **ids}}}
        return web.json_response(body, status=error.status)
