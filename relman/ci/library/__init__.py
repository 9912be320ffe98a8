"""A shared library's release: files built in the tested image, checked, put on a package index, and a git tag."""
