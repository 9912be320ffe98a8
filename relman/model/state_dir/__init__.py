"""What hosts keep for relman in their state directories: the record, the lock, the journal."""
