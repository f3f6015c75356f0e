"""What `outrider exporter` says: bodies of the API to values, values to series, and the threads that read."""
