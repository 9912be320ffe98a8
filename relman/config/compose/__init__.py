"""Read compose files (https://github.com/compose-spec/compose-spec), and say the same in relman's own files."""
