"""A fake Hugging Face Hub for tests and demonstrations: clients see what the real Hub shows, plus faults on demand."""

from tests.fakehub.cas import Cas
from tests.fakehub.content import BytesContent, Content, PathContent, SeededContent, seeded
from tests.fakehub.fault import Fault
from tests.fakehub.journal import Request
from tests.fakehub.server import HubServer

__all__ = ["BytesContent", "Cas", "Content", "Fault", "HubServer", "PathContent", "Request", "SeededContent", "seeded"]
