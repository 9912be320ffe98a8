"""What relman uses of its own machine: processes, and requests sent from it."""
