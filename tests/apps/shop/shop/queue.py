from pathlib import Path

PASSWORD = Path("/run/secrets/queue_password")


class Queue:
    """Work for the workers, in the Redis that QUEUE_URL names, and how much of it is done; without that, none."""

    def __init__(self, env):
        self.redis = None
        if url := env.get("QUEUE_URL"):
            from redis import Redis

            password = PASSWORD.read_text().strip() if PASSWORD.exists() else None
            self.redis = Redis.from_url(url, password=password, socket_timeout=5, decode_responses=True)

    def ask(self, work):
        """Leave some work for a worker."""
        if self.redis:
            self.redis.rpush("work", work)

    def take(self, seconds):
        """The oldest work, or None if there was none for so long."""
        found = self.redis.blpop(["work"], timeout=seconds)
        return found and found[1]

    def finish(self, work, version):
        """Count what a worker of this version did."""
        with self.redis.pipeline() as pipe:
            pipe.hincrby("done", work, 1).hset("done", "worker", version).execute()

    def done(self):
        """How much was done of each kind, and the version of the worker that did the last."""
        found = self.redis.hgetall("done") if self.redis else {}
        return {kind: count if kind == "worker" else int(count) for kind, count in sorted(found.items())}
