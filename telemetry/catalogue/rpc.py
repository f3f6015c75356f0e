"""Calls to servers: how long each took, and how many came.

The latency of a call is measured where it is carried out, not where it is forwarded. Calls that wait for news
(`Node.GetClientAllocs`, `Eval.Dequeue`) count the waiting.
"""

from telemetry.catalogue.metric import Absent, Kind, Metric, Presence, Role, Unit


def _latency(name: str, key: str, call: str, *, absent: Absent | None = None) -> Metric:
    return Metric(
        name=name,
        kind=Kind.SAMPLE,
        unit=Unit.MILLISECONDS,
        exporter=Role.SERVER,
        present=Presence.AFTER_FIRST_EVENT,
        meaning=f"Time this server took to carry out the call {call}.",
        source=f"nomad/{call.partition('.')[0].lower()}_endpoint.go",
        key=key,
        absent=absent,
    )


def _count(
    name: str, key: str, meaning: str, source: str = "nomad/rpc_rate_metrics.go", *, absent: Absent | None = None
) -> Metric:
    return Metric(
        name=name,
        kind=Kind.COUNTER,
        unit=Unit.COUNT,
        exporter=Role.SERVER,
        present=Presence.AFTER_FIRST_EVENT,
        meaning=meaning,
        source=source,
        key=key,
        absent=absent,
    )


CLIENT_REGISTER = _latency("nomad_nomad_client_register", "nomad.nomad.client.register", "Node.Register")
CLIENT_UPDATE_STATUS = _latency(
    "nomad_nomad_client_update_status", "nomad.nomad.client.update_status", "Node.UpdateStatus"
)
CLIENT_UPDATE_ALLOC = _latency("nomad_nomad_client_update_alloc", "nomad.nomad.client.update_alloc", "Node.UpdateAlloc")
CLIENT_UPDATE_ELIGIBILITY = _latency(
    "nomad_nomad_client_update_eligibility",
    "nomad.nomad.client.update_eligibility",
    "Node.UpdateEligibility",
)
CLIENT_UPDATE_DRAIN = _latency("nomad_nomad_client_update_drain", "nomad.nomad.client.update_drain", "Node.UpdateDrain")
CLIENT_EMIT_EVENTS = _latency(
    "nomad_nomad_client_emit_events", "nomad.nomad.client.emit_events", "Node.EmitEvents", absent=Absent.CALL
)
CLIENT_GET_CLIENT_ALLOCS = _latency(
    "nomad_nomad_client_get_client_allocs", "nomad.nomad.client.get_client_allocs", "Node.GetClientAllocs"
)
CLIENT_GET_ALLOCS = _latency("nomad_nomad_client_get_allocs", "nomad.nomad.client.get_allocs", "Node.GetAllocs")
CLIENT_GET_NODE = _latency("nomad_nomad_client_get_node", "nomad.nomad.client.get_node", "Node.GetNode")
CLIENT_LIST = _latency("nomad_nomad_client_list", "nomad.nomad.client.list", "Node.List")
ALLOC_GET_ALLOC = _latency("nomad_nomad_alloc_get_alloc", "nomad.nomad.alloc.get_alloc", "Alloc.GetAlloc")
ALLOC_GET_ALLOCS = _latency("nomad_nomad_alloc_get_allocs", "nomad.nomad.alloc.get_allocs", "Alloc.GetAllocs")
ALLOC_LIST = _latency("nomad_nomad_alloc_list", "nomad.nomad.alloc.list", "Alloc.List")
EVAL_DEQUEUE = _latency("nomad_nomad_eval_dequeue", "nomad.nomad.eval.dequeue", "Eval.Dequeue")
EVAL_ACK = _latency("nomad_nomad_eval_ack", "nomad.nomad.eval.ack", "Eval.Ack")
EVAL_NACK = _latency("nomad_nomad_eval_nack", "nomad.nomad.eval.nack", "Eval.Nack")
EVAL_CREATE = _latency("nomad_nomad_eval_create", "nomad.nomad.eval.create", "Eval.Create")
EVAL_UPDATE = _latency("nomad_nomad_eval_update", "nomad.nomad.eval.update", "Eval.Update")
EVAL_REBLOCK = _latency("nomad_nomad_eval_reblock", "nomad.nomad.eval.reblock", "Eval.Reblock")
EVAL_GET_EVAL = _latency("nomad_nomad_eval_get_eval", "nomad.nomad.eval.get_eval", "Eval.GetEval")
EVAL_LIST = _latency("nomad_nomad_eval_list", "nomad.nomad.eval.list", "Eval.List")
EVAL_COUNT = _latency("nomad_nomad_eval_count", "nomad.nomad.eval.count", "Eval.Count")
EVAL_ALLOCATIONS = _latency(
    "nomad_nomad_eval_allocations",
    "nomad.nomad.eval.allocations",
    "Eval.Allocations",
)
JOB_REGISTER = _latency("nomad_nomad_job_register", "nomad.nomad.job.register", "Job.Register")
JOB_DEREGISTER = _latency("nomad_nomad_job_deregister", "nomad.nomad.job.deregister", "Job.Deregister")
JOB_GET_JOB = _latency("nomad_nomad_job_get_job", "nomad.nomad.job.get_job", "Job.GetJob")
JOB_LIST = _latency("nomad_nomad_job_list", "nomad.nomad.job.list", "Job.List")
JOB_ALLOCATIONS = _latency("nomad_nomad_job_allocations", "nomad.nomad.job.allocations", "Job.Allocations")
JOB_EVALUATIONS = _latency("nomad_nomad_job_evaluations", "nomad.nomad.job.evaluations", "Job.Evaluations")
JOB_DEPLOYMENTS = _latency(
    "nomad_nomad_job_deployments", "nomad.nomad.job.deployments", "Job.Deployments", absent=Absent.SCHEDULING
)
JOB_LATEST_DEPLOYMENT = _latency(
    "nomad_nomad_job_latest_deployment",
    "nomad.nomad.job.latest_deployment",
    "Job.LatestDeployment",
    absent=Absent.SCHEDULING,
)
JOB_GET_JOB_VERSIONS = _latency(
    "nomad_nomad_job_get_job_versions",
    "nomad.nomad.job.get_job_versions",
    "Job.GetJobVersions",
)
JOB_PLAN = _latency("nomad_nomad_job_plan", "nomad.nomad.job.plan", "Job.Plan", absent=Absent.CALL)
JOB_VALIDATE = _latency("nomad_nomad_job_validate", "nomad.nomad.job.validate", "Job.Validate")
JOB_SCALE_STATUS = _latency(
    "nomad_nomad_job_scale_status",
    "nomad.nomad.job.scale_status",
    "Job.ScaleStatus",
)
JOB_SUMMARY_GET_JOB_SUMMARY = _latency(
    "nomad_nomad_job_summary_get_job_summary", "nomad.nomad.job_summary.get_job_summary", "Job.Summary"
)
JOBS_STATUSES = _latency("nomad_nomad_jobs_statuses", "nomad.nomad.jobs.statuses", "Job.Statuses", absent=Absent.CALL)
DEPLOYMENT_GET_DEPLOYMENT = _latency(
    "nomad_nomad_deployment_get_deployment",
    "nomad.nomad.deployment.get_deployment",
    "Deployment.GetDeployment",
    absent=Absent.SCHEDULING,
)
DEPLOYMENT_LIST = _latency(
    "nomad_nomad_deployment_list", "nomad.nomad.deployment.list", "Deployment.List", absent=Absent.SCHEDULING
)
CLIENT_ALLOCATIONS_CHECKS = _latency(
    "nomad_nomad_client_allocations_checks",
    "nomad.nomad.client_allocations.checks",
    "ClientAllocations.Checks",
    absent=Absent.CALL,
)
CLIENT_ALLOCATIONS_STATS = _latency(
    "nomad_nomad_client_allocations_stats",
    "nomad.nomad.client_allocations.stats",
    "ClientAllocations.Stats",
    absent=Absent.CALL,
)
CLIENT_STATS_STATS = _latency(
    "nomad_nomad_client_stats_stats", "nomad.nomad.client_stats.stats", "ClientStats.Stats", absent=Absent.CALL
)
FILE_SYSTEM_LIST = _latency(
    "nomad_nomad_file_system_list", "nomad.nomad.file_system.list", "FileSystem.List", absent=Absent.CALL
)
KEYRING_LIST = _latency("nomad_nomad_keyring_list", "nomad.nomad.keyring.list", "Keyring.List", absent=Absent.OUTSIDE)
NAMESPACE_LIST_NAMESPACE = _latency(
    "nomad_nomad_namespace_list_namespace",
    "nomad.nomad.namespace.list_namespace",
    "Namespace.ListNamespaces",
)
NODE_POOL_LIST = _latency(
    "nomad_nomad_node_pool_list",
    "nomad.nomad.node_pool.list",
    "NodePool.List",
)
SCALING_LIST_POLICIES = _latency(
    "nomad_nomad_scaling_list_policies", "nomad.nomad.scaling.list_policies", "Scaling.ListPolicies", absent=Absent.CALL
)
SEARCH_PREFIX_SEARCH = _latency(
    "nomad_nomad_search_prefix_search",
    "nomad.nomad.search.prefix_search",
    "Search.PrefixSearch",
)
SERVICE_REGISTRATION_LIST = _latency(
    "nomad_nomad_service_registration_list",
    "nomad.nomad.service_registration.list",
    "ServiceRegistration.List",
    absent=Absent.CALL,
)
VARIABLES_LIST = _latency(
    "nomad_nomad_variables_list", "nomad.nomad.variables.list", "Variables.List", absent=Absent.OUTSIDE
)

RPC_REQUEST = _count("nomad_nomad_rpc_request", "", "Calls that arrived over the network.", "nomad/rpc.go")
RPC_QUERY = _count("nomad_nomad_rpc_query", "", "Reads that this server answered.", "nomad/rpc.go")
RPC_ACCEPT_CONN = _count(
    "nomad_nomad_rpc_accept_conn",
    "nomad.nomad.rpc.accept_conn",
    "Connections that were accepted.",
    "nomad/rpc.go",
    absent=Absent.CALL,
)
RPC_RAFT_HANDOFF = _count(
    "nomad_nomad_rpc_raft_handoff",
    "nomad.nomad.rpc.raft_handoff",
    "Connections of other servers that were taken for Raft.",
    "nomad/rpc.go",
)

RPC_ALLOC_LIST = _count(
    "nomad_nomad_rpc_alloc_list", "nomad.nomad.rpc.alloc.list", "Lists asked of the endpoint alloc."
)
RPC_ALLOC_READ = _count(
    "nomad_nomad_rpc_alloc_read", "nomad.nomad.rpc.alloc.read", "Single reads asked of the endpoint alloc."
)
RPC_ALLOC_WRITE = _count(
    "nomad_nomad_rpc_alloc_write",
    "nomad.nomad.rpc.alloc.write",
    "Writes asked of the endpoint alloc.",
    absent=Absent.CALL,
)
RPC_CLIENT_ALLOCATIONS_READ = _count(
    "nomad_nomad_rpc_client_allocations_read",
    "nomad.nomad.rpc.client_allocations.read",
    "Single reads asked of the endpoint client_allocations.",
    absent=Absent.CALL,
)
RPC_CLIENT_STATS_READ = _count(
    "nomad_nomad_rpc_client_stats_read",
    "nomad.nomad.rpc.client_stats.read",
    "Single reads asked of the endpoint client_stats.",
    absent=Absent.CALL,
)
RPC_DEPLOYMENT_LIST = _count(
    "nomad_nomad_rpc_deployment_list",
    "nomad.nomad.rpc.deployment.list",
    "Lists asked of the endpoint deployment.",
    absent=Absent.SCHEDULING,
)
RPC_DEPLOYMENT_READ = _count(
    "nomad_nomad_rpc_deployment_read",
    "nomad.nomad.rpc.deployment.read",
    "Single reads asked of the endpoint deployment.",
    absent=Absent.SCHEDULING,
)
RPC_EVAL_LIST = _count("nomad_nomad_rpc_eval_list", "nomad.nomad.rpc.eval.list", "Lists asked of the endpoint eval.")
RPC_EVAL_READ = _count(
    "nomad_nomad_rpc_eval_read", "nomad.nomad.rpc.eval.read", "Single reads asked of the endpoint eval."
)
RPC_EVAL_WRITE = _count(
    "nomad_nomad_rpc_eval_write", "nomad.nomad.rpc.eval.write", "Writes asked of the endpoint eval."
)
RPC_FILE_SYSTEM_LIST = _count(
    "nomad_nomad_rpc_file_system_list",
    "nomad.nomad.rpc.file_system.list",
    "Lists asked of the endpoint file_system.",
    absent=Absent.CALL,
)
RPC_JOB_LIST = _count("nomad_nomad_rpc_job_list", "nomad.nomad.rpc.job.list", "Lists asked of the endpoint job.")
RPC_JOB_READ = _count("nomad_nomad_rpc_job_read", "nomad.nomad.rpc.job.read", "Single reads asked of the endpoint job.")
RPC_JOB_WRITE = _count("nomad_nomad_rpc_job_write", "nomad.nomad.rpc.job.write", "Writes asked of the endpoint job.")
RPC_KEYRING_LIST = _count(
    "nomad_nomad_rpc_keyring_list",
    "nomad.nomad.rpc.keyring.list",
    "Lists asked of the endpoint keyring.",
    absent=Absent.OUTSIDE,
)
RPC_NAMESPACE_LIST = _count(
    "nomad_nomad_rpc_namespace_list",
    "nomad.nomad.rpc.namespace.list",
    "Lists asked of the endpoint namespace.",
)
RPC_NODE_LIST = _count("nomad_nomad_rpc_node_list", "nomad.nomad.rpc.node.list", "Lists asked of the endpoint node.")
RPC_NODE_READ = _count(
    "nomad_nomad_rpc_node_read", "nomad.nomad.rpc.node.read", "Single reads asked of the endpoint node."
)
RPC_NODE_WRITE = _count(
    "nomad_nomad_rpc_node_write", "nomad.nomad.rpc.node.write", "Writes asked of the endpoint node."
)
RPC_NODE_POOL_LIST = _count(
    "nomad_nomad_rpc_node_pool_list",
    "nomad.nomad.rpc.node_pool.list",
    "Lists asked of the endpoint node_pool.",
)
RPC_OPERATOR_READ = _count(
    "nomad_nomad_rpc_operator_read", "nomad.nomad.rpc.operator.read", "Single reads asked of the endpoint operator."
)
RPC_OPERATOR_WRITE = _count(
    "nomad_nomad_rpc_operator_write",
    "nomad.nomad.rpc.operator.write",
    "Writes asked of the endpoint operator: autopilot, peers, leadership, snapshots.",
    "nomad/operator_endpoint.go",
)
RPC_PLAN_WRITE = _count(
    "nomad_nomad_rpc_plan_write", "nomad.nomad.rpc.plan.write", "Writes asked of the endpoint plan."
)
RPC_REGION_LIST = _count(
    "nomad_nomad_rpc_region_list",
    "nomad.nomad.rpc.region.list",
    "Lists asked of the endpoint region.",
    absent=Absent.CALL,
)
RPC_SCALING_LIST = _count(
    "nomad_nomad_rpc_scaling_list",
    "nomad.nomad.rpc.scaling.list",
    "Lists asked of the endpoint scaling.",
    absent=Absent.CALL,
)
RPC_SEARCH_LIST = _count(
    "nomad_nomad_rpc_search_list",
    "nomad.nomad.rpc.search.list",
    "Lists asked of the endpoint search.",
)
RPC_SERVICE_REGISTRATION_LIST = _count(
    "nomad_nomad_rpc_service_registration_list",
    "nomad.nomad.rpc.service_registration.list",
    "Lists asked of the endpoint service_registration.",
    absent=Absent.CALL,
)
RPC_STATUS_LIST = _count(
    "nomad_nomad_rpc_status_list", "nomad.nomad.rpc.status.list", "Lists asked of the endpoint status."
)
RPC_STATUS_READ = _count(
    "nomad_nomad_rpc_status_read", "nomad.nomad.rpc.status.read", "Single reads asked of the endpoint status."
)
RPC_VARIABLES_LIST = _count(
    "nomad_nomad_rpc_variables_list",
    "nomad.nomad.rpc.variables.list",
    "Lists asked of the endpoint variables.",
    absent=Absent.OUTSIDE,
)
