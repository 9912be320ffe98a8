"""What a deployment, a rollback or a recovery does. Pure: nothing here touches a host."""
