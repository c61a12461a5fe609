"""The scheduler: joins record, store, hub, transfer and events, and alone changes a record."""
