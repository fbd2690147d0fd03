"""Memory of a rank: the allocator's events, snapshots, and what the blocks are."""
