# The name under which the other containers reach this server; its address changes with every start.
name = "server-1"

advertise {
  http = "server-1"
  rpc  = "server-1"
  serf = "server-1"
  raft = "server-1"
}
