"""Who the servers are and which of them live, told from server to server: SWIM with suspicion and refutation."""
