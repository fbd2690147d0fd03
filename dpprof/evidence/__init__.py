"""What a trace cannot carry: checks that readers and matchers feed, and every view shows."""
