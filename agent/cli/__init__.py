"""The command line against a running agent, in Nomad's words: one module for each group of commands.

Nothing is imported here, so that the root command can list these without loading them.
"""

COMMANDS: dict[str, str] = {
    "agent-info": "agent.cli.agent_info:agent_info",
    "alloc": "agent.cli.alloc_commands:alloc",
    "eval": "agent.cli.eval_commands:evaluation",
    "job": "agent.cli.job_commands:job",
    "node": "agent.cli.node_commands:node",
    "operator": "agent.cli.operator_commands:operator",
    "server": "agent.cli.server_commands:server",
    "status": "agent.cli.job_status:status",
    "tls": "agent.cli.tls_commands:tls",
    "version": "agent.cli.version:version",
}
"""Name of a command to where it is: "module:attribute"."""

SUMMARIES: dict[str, str] = {
    "agent-info": "Show what the agent knows of itself.",
    "alloc": "Look at allocations.",
    "eval": "Look at evaluations.",
    "job": "Run, stop and look at jobs.",
    "node": "Look at clients, drain them, and say which may be given new work.",
    "operator": "Look at Raft, autopilot and metrics.",
    "server": "Look at servers.",
    "status": "List all jobs, or show one.",
    "tls": "Make certificates for the tls block.",
    "version": "Show the version.",
}
"""Name of a command to its line in the list of commands, so that listing loads no module."""
