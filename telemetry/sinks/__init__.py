"""Where values are pushed to: statsd and dogstatsd over UDP, statsite over TCP; off unless the telemetry block names one."""
