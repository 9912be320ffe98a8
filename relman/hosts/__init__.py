"""Connect over SSH; the Docker API through that connection; records and locks over SFTP."""
