"""A root over http on this machine: for browsers and viewers, and for readers elsewhere. Read only."""
