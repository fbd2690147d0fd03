"""Pipeline schedules as plain data: pure generators, a checker, text and JSON forms."""
