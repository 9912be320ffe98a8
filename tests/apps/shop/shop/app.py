from flask import Flask, jsonify, request
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from shop.cache import Cache
from shop.database import Order, Product, connect
from shop.queue import Queue


def create_app(env):
    app = Flask("shop")
    sessions = connect(env)
    cache = Cache(env)
    queue = Queue(env)

    def stored():
        with sessions() as session:
            found = session.scalars(select(Product).order_by(Product.name))
            return [{"id": p.id, "name": p.name, "price_cents": p.price_cents} for p in found]

    @app.get("/")
    def products():
        return jsonify(cache.products(stored))

    @app.post("/orders")
    def order():
        wanted = request.get_json(silent=True)
        wanted = wanted if isinstance(wanted, dict) else {}
        product, quantity = wanted.get("product_id"), wanted.get("quantity")
        if type(product) is not int or type(quantity) is not int or quantity < 1:
            return jsonify(error="product_id and a quantity of at least 1 are needed"), 400
        with sessions.begin() as session:
            if session.get(Product, product) is None:
                return jsonify(error=f"there is no product {product}"), 404
            placed = Order(product_id=product, quantity=quantity)
            session.add(placed)
            session.flush()
            queue.ask("order")
            return jsonify(id=placed.id), 201

    @app.get("/orders/<int:number>")
    def placed(number):
        with sessions() as session:
            found = session.get(Order, number)
            if found is None:
                return jsonify(error=f"there is no order {number}"), 404
            return jsonify(id=found.id, product_id=found.product_id, quantity=found.quantity)

    @app.get("/work")
    def work():
        return jsonify(queue.done())

    @app.get("/health")
    def health():
        try:
            with sessions() as session:
                session.execute(select(Product.id).limit(1))
        except SQLAlchemyError as error:
            app.logger.warning("the database does not answer: %s", error)
            return jsonify(status="the database does not answer"), 503
        return jsonify(status="ok")

    @app.get("/version")
    def version():
        return jsonify(service="shop", version=env.get("VERSION", "dev"))

    return app
