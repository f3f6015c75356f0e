# What the two clients of compose.yaml share; their names come from the command line.
data_dir = "/var/lib/outrider"

client {
  enabled = true
  servers = ["server-1", "server-2", "server-3"]
}

# Off by default, because a task of this driver may do whatever the agent may. On here: a demonstration on loopback.
plugin "raw_exec" {
  config {
    enabled = true
  }
}

telemetry {
  prometheus_metrics         = true
  publish_allocation_metrics = true
  publish_node_metrics       = true
  disable_hostname           = true
  collection_interval        = "1s"
}
