import json
import os

import pytest
from shop.app import create_app
from shop.database import prepare
from shop.queue import Queue


def test_the_linked_database_is_postgresql_with_the_schema(client):
    """env.sh turned the link variables into a URI, and the schema's products are served from there."""
    assert os.environ["SQLALCHEMY_DATABASE_URI"].startswith("postgresql://")
    assert {"apple", "bread"} <= {product["name"] for product in client.get("/").json}


def test_an_order_is_stored(client):
    """What POST /orders answers can be read back."""
    product = client.get("/").json[0]["id"]
    placed = client.post("/orders", json={"product_id": product, "quantity": 3})
    assert placed.status_code == 201
    stored = client.get(f"/orders/{placed.json['id']}").json
    assert (stored["product_id"], stored["quantity"]) == (product, 3)


def test_a_bad_order_is_refused(client):
    """Unknown products, no quantity and nonsense are the caller's fault, not a server error."""
    assert client.post("/orders", json={"product_id": 10**6, "quantity": 1}).status_code == 404
    for body in ({}, [], {"product_id": 1, "quantity": 0}, {"product_id": "1", "quantity": True}):
        assert client.post("/orders", json=body).status_code == 400


def test_health_follows_the_database(client):
    """/health is 200 with the linked database, and 503 when the database is not there."""
    assert client.get("/health").status_code == 200
    away = create_app({"SQLALCHEMY_DATABASE_URI": "postgresql://shop:shop@127.0.0.1:1/shop"})
    assert away.test_client().get("/health").status_code == 503


def test_the_version_is_the_build_s(client):
    """/version says what the image was built as."""
    assert client.get("/version").json == {"service": "shop", "version": os.environ["VERSION"]}


def test_without_a_server_a_file_keeps_the_data(tmp_path):
    """A SQLite file gets the schema, and keeps its orders from one start to the next."""
    env = {"SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/shop.db"}
    prepare(env)
    order = {"product_id": 1, "quantity": 1}
    number = create_app(env).test_client().post("/orders", json=order).json["id"]
    prepare(env)
    assert create_app(env).test_client().get(f"/orders/{number}").status_code == 200


def test_no_database_is_said_at_once():
    """Without any database the start is refused, not a service begun that cannot serve."""
    with pytest.raises(SystemExit, match="no database"):
        prepare({})


def test_the_product_list_comes_from_the_linked_cache(client):
    """The first answer is kept in Redis, and what Redis holds is what is served."""
    from redis import Redis

    cache = Redis.from_url(os.environ["REDIS_URL"])
    cache.delete("products")
    listed = client.get("/").json
    assert json.loads(cache.get("products")) == listed
    assert 0 < cache.ttl("products") <= 30
    cache.set("products", '[{"id": 7, "name": "cached", "price_cents": 1}]')
    assert [product["name"] for product in client.get("/").json] == ["cached"]
    cache.delete("products")


def test_a_cache_that_is_away_is_only_slower(tmp_path):
    """Without an answer from Redis, and without any Redis, the products come from the database."""
    env = {"SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/shop.db"}
    prepare(env)
    for more in ({"REDIS_URL": "redis://127.0.0.1:1/0"}, {"REDIS_URL": ""}, {}):
        listed = create_app(env | more).test_client().get("/").json
        assert [product["name"] for product in listed] == ["apple", "bread"]


def test_an_order_is_packed_by_a_worker(client):
    """What was ordered is in the queue, and is counted once a worker did it, with the worker's version."""
    queue = Queue(os.environ)
    queue.redis.flushdb()
    client.post("/orders", json={"product_id": client.get("/").json[0]["id"], "quantity": 1})
    assert (queue.take(1), queue.take(1)) == ("order", None)
    queue.finish("order", "7")
    assert client.get("/work").json == {"order": 1, "worker": "7"}
