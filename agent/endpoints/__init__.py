"""The server side of the remote procedures, one module for each endpoint of Nomad."""
