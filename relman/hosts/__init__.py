"""Connect over SSH; records and locks over SFTP."""
