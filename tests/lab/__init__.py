"""Real hosts on one machine: namespaces with their own sshd and Docker Engine, and a private registry."""
