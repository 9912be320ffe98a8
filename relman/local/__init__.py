"""The machine that relman runs on: its processes, files and directories, and what is asked from it."""
