"""The read-only verbs for programs and agents: a Model Context Protocol server over stdio."""
