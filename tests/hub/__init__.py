"""A Hugging Face Hub for tests and demonstrations: faithful to what its clients see, with faults on demand."""

from tests.hub.content import BytesContent, Content, PathContent, SeededContent, seeded
from tests.hub.fault import Fault
from tests.hub.journal import Request
from tests.hub.server import HubServer

__all__ = ["BytesContent", "Content", "Fault", "HubServer", "PathContent", "Request", "SeededContent", "seeded"]
