import os

from shop.app import create_app
from shop.breakage import in_service

app = in_service(create_app(os.environ), os.environ.get("BREAK", ""))
