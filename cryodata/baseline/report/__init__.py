"""The whole way with one command: its plan, stages, numbers, and the page it ends with."""
