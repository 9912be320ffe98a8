"""Plan a deployment, a rollback or a recovery. Pure: nothing here touches a host."""
