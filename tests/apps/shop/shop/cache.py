import json
import logging

SECONDS = 30


class Cache:
    """Keeps the product list in Redis where there is one. Without it, or while it is away, the database is asked."""

    def __init__(self, env):
        self.redis = None
        if url := env.get("REDIS_URL"):
            from redis import Redis

            self.redis = Redis.from_url(url, socket_timeout=0.5, socket_connect_timeout=0.5)

    def products(self, load):
        found = self._try("get", "products")
        if found is None:
            found = json.dumps(load())
            self._try("setex", "products", SECONDS, found)
        return json.loads(found)

    def _try(self, command, *arguments):
        if self.redis is None:
            return None
        from redis import RedisError

        try:
            return getattr(self.redis, command)(*arguments)
        except RedisError as error:
            logging.getLogger("shop").warning("the cache does not answer: %s", error)
            return None
