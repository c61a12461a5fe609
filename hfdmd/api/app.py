"""The aiohttp application: the route table bound to its handlers."""

from __future__ import annotations

from aiohttp import web

from hfdmd.api import problems
from hfdmd.api.decode import MAX_BODY_BYTES
from hfdmd.api.handlers import Handlers
from hfdmd.api.metrics import Metrics
from hfdmd.scheduler.core import Scheduler
from hfdmd.wire.routes import ROUTES


def build(scheduler: Scheduler, *, url: str | None, socket: str | None) -> web.Application:
    """The application, not yet listening; `hfdmd.api.protocols` connects it to sockets."""
    metrics = Metrics(scheduler)
    app = web.Application(middlewares=[metrics.middleware, problems.middleware], client_max_size=MAX_BODY_BYTES)
    handlers = Handlers(scheduler, metrics, url=url, socket=socket)
    for route in ROUTES:
        app.router.add_route(route.method, route.path, getattr(handlers, route.name))
    return app
