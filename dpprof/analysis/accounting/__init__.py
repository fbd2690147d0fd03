"""Where each rank's time went: states, bubbles and their causes."""
