HAPROXY = "haproxy-base"
