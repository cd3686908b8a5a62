"""The way to phones: commands and files over ADB, directly or through adb's server."""

from profiler.adb._choice import open_transport
from profiler.adb._process import RemoteProcess
from profiler.adb._sync import RemoteStat
from profiler.adb.direct import DirectTransport
from profiler.adb.keys import AdbKey, load_or_create_key, own_key
from profiler.adb.quoting import DEFAULT_FOLDER, command_line, remote_folder_path
from profiler.adb.remote_folder import RemoteFolder
from profiler.adb.server import AdbServer, ServerTransport
from profiler.adb.transport import ShellResult, Transport

__all__ = [
    "DEFAULT_FOLDER",
    "AdbKey",
    "AdbServer",
    "DirectTransport",
    "RemoteFolder",
    "RemoteProcess",
    "RemoteStat",
    "ServerTransport",
    "ShellResult",
    "Transport",
    "command_line",
    "load_or_create_key",
    "open_transport",
    "own_key",
    "remote_folder_path",
]
