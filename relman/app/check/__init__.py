"""Whether all is well before anything is done: files, registries, hosts."""
