from sqlalchemy import CheckConstraint, Column, DateTime, ForeignKey, Integer, Text, create_engine, func
from sqlalchemy.orm import declarative_base, sessionmaker

Base = declarative_base()


class Product(Base):
    __tablename__ = "products"
    id = Column(Integer, primary_key=True)
    name = Column(Text, nullable=False, unique=True)
    price_cents = Column(Integer, nullable=False)


class Order(Base):
    __tablename__ = "orders"
    __table_args__ = (CheckConstraint("quantity > 0"),)
    id = Column(Integer, primary_key=True)
    product_id = Column(ForeignKey("products.id"), nullable=False)
    quantity = Column(Integer, nullable=False)
    created_at = Column(DateTime(timezone=True), nullable=False, server_default=func.now())


def database_uri(env):
    uri = env.get("SQLALCHEMY_DATABASE_URI")
    if not uri:
        raise SystemExit("shop: no database: link one as `db` or set SQLALCHEMY_DATABASE_URI")
    return uri


def prepare(env):
    """Give a SQLite file its schema, before anybody serves. PostgreSQL has it from database-schema."""
    engine = create_engine(database_uri(env), future=True)
    if engine.dialect.name != "sqlite":
        return
    Base.metadata.create_all(engine)
    with sessionmaker(engine, future=True).begin() as session:
        if not session.query(Product).count():
            session.add_all([Product(name="apple", price_cents=40), Product(name="bread", price_cents=320)])
    engine.dispose()


def connect(env):
    """Return a session factory."""
    return sessionmaker(create_engine(database_uri(env), future=True, pool_pre_ping=True), future=True)
