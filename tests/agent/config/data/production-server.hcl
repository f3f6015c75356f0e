# A server of a cluster that has run Nomad for years.
datacenter = "dc1"
region     = "eu"
data_dir   = "/opt/nomad/data"
plugin_dir = "/opt/nomad/plugins"
bind_addr  = "0.0.0.0"
log_level  = "WARN"
log_json   = true
log_file   = "/var/log/nomad/"

log_rotate_duration  = "24h"
log_rotate_max_files = 7

enable_syslog        = true
leave_on_interrupt   = false
leave_on_terminate   = true
disable_update_check = true

ports {
  http = 4646
  rpc  = 4647
  serf = 4648
}

addresses {
  http = "127.0.0.1 10.1.2.3"
}

advertise {
  http = "{{ GetInterfaceIP \"eth0\" }}"
  rpc  = "{{ GetPrivateIP }}:4647"
  serf = "10.1.2.3"
}

server {
  enabled                   = true
  bootstrap_expect          = 3
  raft_protocol             = 3
  heartbeat_grace           = "30s"
  min_heartbeat_ttl         = "20s"
  max_heartbeats_per_second = 100.0
  node_gc_threshold         = "24h"
  job_gc_threshold          = "4h"
  job_gc_interval           = "5m"
  raft_snapshot_threshold   = 8192

  server_join {
    retry_join     = ["10.1.2.3", "10.1.2.4", "10.1.2.5:4648"]
    retry_interval = "15s"
    retry_max      = 0
  }

  default_scheduler_config {
    scheduler_algorithm = "spread"

    preemption_config {
      service_scheduler_enabled = true
    }
  }

  plan_rejection_tracker {
    enabled = true
  }
}

acl {
  enabled   = false
  token_ttl = "30s"
}

tls {
  http = false
  rpc  = false

  ca_file   = "/etc/nomad.d/ca.pem"
  cert_file = "/etc/nomad.d/server.pem"
  key_file  = "/etc/nomad.d/server-key.pem"
}

consul {
  address             = "127.0.0.1:8500"
  server_service_name = "nomad"
  auto_advertise      = true
}

vault {
  enabled = false
}

autopilot {
  cleanup_dead_servers      = true
  last_contact_threshold    = "200ms"
  server_stabilization_time = "10s"
}

telemetry {
  collection_interval        = "1s"
  disable_hostname           = true
  prometheus_metrics         = true
  publish_allocation_metrics = true
  publish_node_metrics       = true
  statsd_address             = ""
  datadog_address            = "127.0.0.1:8125"
  prefix_filter              = ["-nomad.nomad.rpc", "+nomad.nomad.rpc.request"]
}

limits {
  http_max_conns_per_client = 200
}

ui {
  enabled = true
}
