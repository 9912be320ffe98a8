"""What was done from this machine: runs, releases and deployments. A convenience; the truth is on hosts and in the
registry."""
