"""A client of the OCI distribution API, without a container engine: manifests, blobs, tags, referrers, login."""
