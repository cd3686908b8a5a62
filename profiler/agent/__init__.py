"""The agent: a program of ours that runs models on a phone or on this computer; its source is in agent/."""

from profiler.agent.build import AgentBuild, build_agent, built_agent, cached_builds
from profiler.agent.bundle import AgentBundle
from profiler.agent.frames import MAX_PAYLOAD_BYTES, Frame, FrameReader, encode_frame
from profiler.agent.job import AgentJob, AgentModel, PlannedBlock, RandomWeights
from profiler.agent.jobs import FailedBlock, JobRun, Outcome
from profiler.agent.local_process import LocalAgent
from profiler.agent.order import Execution, executions
from profiler.agent.process import AgentProcess, AgentSite, ProcessEnd
from profiler.agent.records import BlockRecord, EndRecord, ErrorRecord, Hello, OperatorRecord, Record, read_record

__all__ = [
    "MAX_PAYLOAD_BYTES",
    "AgentBuild",
    "AgentBundle",
    "AgentJob",
    "AgentModel",
    "AgentProcess",
    "AgentSite",
    "BlockRecord",
    "EndRecord",
    "ErrorRecord",
    "Execution",
    "FailedBlock",
    "Frame",
    "FrameReader",
    "Hello",
    "JobRun",
    "LocalAgent",
    "OperatorRecord",
    "Outcome",
    "PlannedBlock",
    "ProcessEnd",
    "RandomWeights",
    "Record",
    "build_agent",
    "built_agent",
    "cached_builds",
    "encode_frame",
    "executions",
    "read_record",
]
