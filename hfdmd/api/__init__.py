"""The HTTP API: aiohttp routes and SSE on top of the scheduler, and the access rules."""
