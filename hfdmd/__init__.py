"""hfdmd, the Hugging Face Download Manager daemon."""

__version__ = "0.1.0"
