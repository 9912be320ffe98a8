"""HTTP to a registry: TLS, proxies, time limits, credentials, and the translation of errors."""
