# What the three servers of compose.yaml share; each one's own file adds its name and address.
data_dir = "/var/lib/outrider"

server {
  enabled          = true
  bootstrap_expect = 3

  server_join {
    retry_join     = ["server-1", "server-2", "server-3"]
    retry_interval = "1s"
  }
}

telemetry {
  prometheus_metrics         = true
  publish_allocation_metrics = true
  publish_node_metrics       = true
  disable_hostname           = true
  collection_interval        = "1s"
}
