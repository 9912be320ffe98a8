"""HTTP to a registry: TLS, proxies, time limits, credentials, and foreign errors translated."""
