"""The state directory on a host: records, locks and journals, over SFTP."""
