"""Read Kamal's configuration (https://kamal-deploy.org/docs/configuration/overview/) as a compose project of the same
services, so that both are converted by the same means."""
