"""Network rules that the hub and transfer packages share: origins, redirects, proxies, trust, Retry-After."""
