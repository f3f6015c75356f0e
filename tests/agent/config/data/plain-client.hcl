data_dir  = "/opt/outrider/data"
bind_addr = "10.0.0.9"

client {
  enabled    = true
  servers    = ["10.0.0.1:4647", "10.0.0.2"]
  node_class = "batch"

  meta {
    rack = "r1"
  }

  reserved {
    cpu            = 500
    memory         = 512
    reserved_ports = "22,80"
  }
}

plugin "raw_exec" {
  config {
    enabled = true
  }
}
