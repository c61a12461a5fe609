"""Rules of the road that hub and transfer share: origins, proxies, trust, courtesy towards servers."""
