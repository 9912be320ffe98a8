"""What a host keeps for relman: records, locks and journals, over SFTP."""
