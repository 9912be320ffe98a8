import os

import pytest
from shop.app import create_app


@pytest.fixture(scope="session")
def client():
    """A client of the application on the database that is linked to this container."""
    return create_app(os.environ).test_client()
