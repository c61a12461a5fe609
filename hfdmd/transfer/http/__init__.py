"""The HTTP transport: connections, responses, the pool, and what to do after an error."""
