# A job with most of what job files use.
variable "image_tag" {
  type        = string
  default     = "1.2.3"
  description = "what to run"
}

variable "count" {
  type    = number
  default = 2

  validation {
    condition     = var.count > 0
    error_message = "The count must be positive."
  }
}

variable "regions" {
  type    = list(string)
  default = ["eu", "us"]
}

locals {
  name = "web-${var.image_tag}"
  tags = [for r in var.regions : "region-${upper(r)}" if r != "us"]
  ports = {
    http    = 8080
    metrics = 9100
  }
}

job "web" {
  datacenters = ["dc1", "dc2"]
  type        = "service"
  priority    = 60

  meta {
    owner       = "team-a"
    "rack.zone" = "z1"
  }

  constraint {
    attribute = "${attr.kernel.name}"
    value     = "linux"
  }

  constraint {
    attribute = attr.nomad.version
    version   = ">= 1.4"
  }

  constraint {
    distinct_hosts = true
  }

  update {
    max_parallel     = 1
    min_healthy_time = "3s"
    healthy_deadline = "5m"
    auto_revert      = true
  }

  group "app" {
    count = var.count

    network {
      mode = "host"

      dynamic "port" {
        for_each = local.ports
        labels   = [port.key]

        content {
          to     = port.value
          static = port.key == "metrics" ? port.value : 0
        }
      }
    }

    service {
      name     = local.name
      port     = "http"
      provider = "nomad"
      tags     = concat(local.tags, ["v=${var.image_tag}"])

      check {
        type     = "http"
        path     = "/health"
        interval = "10s"
        timeout  = "2s"

        header {
          Host = ["example.org"]
        }
      }
    }

    restart {
      attempts = 2
      interval = "30m"
      delay    = "15s"
      mode     = "fail"
    }

    reschedule {
      delay          = "30s"
      delay_function = "exponential"
      max_delay      = "1h"
      unlimited      = true
    }

    ephemeral_disk {
      size = 300
    }

    spread {
      attribute = "${node.datacenter}"
      weight    = 80

      target "dc1" {
        percent = 70
      }

      target "dc2" {
        percent = 30
      }
    }

    volume "data" {
      type   = "host"
      source = "data"
    }

    task "server" {
      driver       = "raw_exec"
      kill_timeout = "20s"

      config {
        command = "/usr/bin/server"
        args    = ["-port", "${NOMAD_PORT_http}", "-name", "${NOMAD_ALLOC_ID}-${var.image_tag}"]

        mount {
          type   = "bind"
          target = "/data"
        }
      }

      env {
        HOME_OF = "${env["HOME"]}"
        WORKERS = 4
      }

      template {
        destination = "local/config"
        data        = <<-EOT
          listen {{ env "NOMAD_PORT_http" }}
            name ${local.name}
          EOT
      }

      resources {
        cpu    = 100
        memory = 128
      }

      volume_mount {
        volume      = "data"
        destination = "/data"
      }
    }
  }
}
