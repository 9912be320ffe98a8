HAPROXY = "haproxy-base"
HYPERCORN = "hypercorn-base"
