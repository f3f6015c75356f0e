# The name under which the other containers reach this server; its address changes with every start.
name = "server-2"

advertise {
  http = "server-2"
  rpc  = "server-2"
  serf = "server-2"
  raft = "server-2"
}
