"""The Xet transport: reconstructions, xorbs, and content that is here already."""
