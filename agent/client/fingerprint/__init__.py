"""Finds out what the host is and has: one module for each subject, parsing apart from reading."""
