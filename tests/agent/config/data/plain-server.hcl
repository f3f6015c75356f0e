# One of three servers.
region     = "eu"
datacenter = "dc1"
data_dir   = "/opt/outrider/data"
bind_addr  = "10.0.0.1"

server {
  enabled          = true
  bootstrap_expect = 3

  server_join {
    retry_join     = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    retry_interval = "15s"
  }
}

telemetry {
  collection_interval        = "1s"
  prometheus_metrics         = true
  publish_allocation_metrics = true
  publish_node_metrics       = true
}
