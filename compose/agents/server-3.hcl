# The name under which the other containers reach this server; its address changes with every start.
name = "server-3"

advertise {
  http = "server-3"
  rpc  = "server-3"
  serf = "server-3"
  raft = "server-3"
}
