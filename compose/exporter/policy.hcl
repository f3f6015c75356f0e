# What the exporter's token needs; nothing here can change anything.
#   nomad acl policy apply -description "Outrider exporter" outrider-exporter policy.hcl
#   nomad acl token create -name outrider-exporter -policy outrider-exporter
agent {
  policy = "read"
}

operator {
  policy = "read"
}

node {
  policy = "read"
}

namespace "*" {
  policy = "read"
}
