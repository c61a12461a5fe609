"""The aiohttp application: the route table bound to its handlers, behind the access rules."""

from __future__ import annotations

from aiohttp import web

from hfdmd.api import problems
from hfdmd.api.access import Access
from hfdmd.api.decode import MAX_BODY_BYTES
from hfdmd.api.guard import Doors
from hfdmd.api.handlers import Handlers
from hfdmd.api.metrics import Metrics
from hfdmd.scheduler.core import Scheduler
from hfdmd.wire.routes import ROUTES


def build(
    scheduler: Scheduler, access: Access, doors: Doors, *, url: str | None, socket: str | None
) -> web.Application:
    """The application, not yet listening."""
    metrics = Metrics(scheduler)
    app = web.Application(
        middlewares=[doors.middleware, metrics.middleware, problems.middleware, access.middleware],
        client_max_size=MAX_BODY_BYTES,
    )
    handlers = Handlers(scheduler, metrics, url=url, socket=socket)
    for route in ROUTES:
        app.router.add_route(route.method, route.path, getattr(handlers, route.name))
    return app
