"""The HTTP API: aiohttp routes and SSE bound to the scheduler, and who may talk to it."""
