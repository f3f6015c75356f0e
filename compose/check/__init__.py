"""`outrider check`: looks at a cluster and its Prometheus and says what would keep alerts from working."""
