"""The HTTP application: every route, and how refusals look that no handler made."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from refcrm import admin, bulk, business, listing, meta, query, records
from refcrm.bulk import Route as Entry
from refcrm.call import answer
from refcrm.errors import ApiError
from refcrm.gateway import Endpoint
from refcrm.services import Services

_ONE = "/api/v1/{entity}/{id}"
_ALL = "/api/v1/{entity}"
_ADMIN = ("admin",)

# Literal paths before patterns that would swallow them; the busiest among equals first.
ROUTES: tuple[Entry, ...] = (
    Entry("GET", "/api/v1/me", admin.who_am_i, "me", ()),
    Entry("GET", "/api/v1/meta", meta.list_entities, "describe", ()),
    Entry("GET", "/api/v1/access-log", admin.access_log, "access_log", _ADMIN),
    Entry("GET", "/api/v1/spans", admin.spans, "spans", _ADMIN),
    Entry("POST", "/api/v1/logout", admin.logout, "logout", ()),
    Entry("GET", _ALL, listing.list_records, "list", ()),
    Entry("POST", _ALL, records.create_record, "create", ()),
    Entry("GET", "/api/v1/{entity}/search", listing.search_records, "search", ()),
    Entry("GET", "/api/v1/{entity}/count", listing.count_records, "count", ()),
    Entry("POST", "/api/v1/{entity}/query", query.query_records, "query", ()),
    Entry("GET", "/api/v1/reports/pipeline", business.pipeline_report, "report", ()),
    Entry("GET", "/api/v1/meta/{entity}", meta.describe_entity, "describe", ()),
    *bulk.ROUTES,
    Entry("POST", "/api/v1/leads/{id}/convert", business.convert_lead, "convert", ()),
    Entry("GET", _ONE, records.open_record, "open", ()),
    Entry("PATCH", _ONE, records.change_record, "update", ()),
    Entry("DELETE", _ONE, records.delete_record, "delete", ()),
)

# These need no token, and only the log-in is written to the access log.
PUBLIC: tuple[Entry, ...] = (
    Entry("POST", "/api/v1/login", admin.login, "login", ()),
    Entry("GET", "/healthz", admin.health, "health", ()),
    Entry("GET", "/metrics", admin.metrics, "metrics", ()),
    Entry("GET", "/_faults", admin.show_faults, "faults", ()),
    Entry("PUT", "/_faults", admin.change_faults, "faults", ()),
    Entry("DELETE", "/_faults", admin.clear_faults, "faults", ()),
)


def build(services: Services) -> FastAPI:
    """The application over these services."""
    # Its own documentation pages would be empty, for they know FastAPI's kind of route only;
    # GET /api/v1/meta describes the data.
    app = FastAPI(title="refcrm", openapi_url=None, docs_url=None, redoc_url=None)
    for entry in PUBLIC:
        logged = entry.action == "login"
        _mount(app, services, entry, public=True, logged=logged)
    for entry in ROUTES:
        _mount(app, services, entry, public=False, logged=True)
    app.add_exception_handler(HTTPException, _unrouted)
    return app


def _mount(app: FastAPI, services: Services, entry: Entry, *, public: bool, logged: bool) -> None:
    endpoint = Endpoint(
        services, entry.path, entry.handler, entry.action, public, entry.roles, logged
    )
    # Starlette adds HEAD to every GET; the endpoint's body is then cut by the server.
    app.router.routes.append(Route(entry.path, endpoint, methods=[entry.method]))


async def _unrouted(request: Request, error: Exception) -> Response:
    del request
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = error.headers if isinstance(error, HTTPException) else None
    known = {404: ("missing", "the page does not exist"), 405: ("method", "not allowed here")}
    code, message = known.get(status, ("internal", "the server failed"))
    refusal = answer(ApiError(status, code, message).document(), status)
    return Response(
        refusal.body, status, headers=dict(headers or {}), media_type="application/json"
    )
