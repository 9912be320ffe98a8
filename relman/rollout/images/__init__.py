"""How images come to hosts: pulled by digest, from the registry that the inventory names."""
