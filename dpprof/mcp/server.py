"""JSON-RPC over lines of text: what the Model Context Protocol needs of it for tools."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TextIO

import msgspec

import dpprof
from dpprof.errors import DpprofError
from dpprof.mcp.folders import Folders
from dpprof.mcp.tools import TOOLS

PROTOCOL = "2025-06-18"
_PARSE_ERROR, _INVALID, _NO_METHOD, _WRONG = -32700, -32600, -32601, -32602


def serve(lines: Iterable[str], out: TextIO, folders: Folders) -> None:
    """Answer requests, one JSON document a line, until the lines end."""
    for line in lines:
        if not line.strip():
            continue
        reply = answer(line, folders)
        if reply is not None:
            out.write(json.dumps(reply) + "\n")
            out.flush()


def answer(line: str, folders: Folders) -> dict[str, Any] | None:
    """The reply to one line; None for a notification."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        return _failure(None, _PARSE_ERROR, "not JSON; send one request a line")
    if not isinstance(request, dict) or not isinstance(request.get("method"), str):
        return _failure(None, _INVALID, "not a request: an object with method, id and params")
    if "id" not in request:
        return None
    if not isinstance(request["id"], str | int | float | None):
        return _failure(None, _INVALID, "not a request: id must be a text or a number")
    params = request.get("params")
    return _reply(request["id"], request["method"], params if params else {}, folders)


def _reply(id: Any, method: str, params: Any, folders: Folders) -> dict[str, Any]:
    if not isinstance(params, dict):
        return _failure(id, _WRONG, "params must be an object")
    match method:
        case "initialize":
            asked = params.get("protocolVersion")
            return _success(id, _about(asked if isinstance(asked, str) else PROTOCOL))
        case "ping":
            return _success(id, {})
        case "tools/list":
            return _success(id, {"tools": [tool.listing() for tool in TOOLS.values()]})
        case "tools/call":
            return _call(id, params, folders)
    return _failure(id, _NO_METHOD, f"no method {method[:60]!r}")


def _about(protocol: str) -> dict[str, Any]:
    return {
        "protocolVersion": protocol,
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "dpprof", "version": dpprof.__version__},
        "instructions": "Read-only. Ask report or findings first; then bubbles and slot for one "
        "place, diff for a change, gate for limits, plan for another schedule. Times are ns.",
    }


def _call(id: Any, params: dict[str, Any], folders: Folders) -> dict[str, Any]:
    tool = TOOLS.get(str(params.get("name")))
    if tool is None:
        return _failure(id, _WRONG, f"no such tool; there are {', '.join(TOOLS)}")
    try:
        arguments = msgspec.convert(params.get("arguments") or {}, tool.arguments)
    except msgspec.ValidationError as error:
        return _failure(id, _WRONG, f"{tool.name}: {error}")
    try:
        content = tool.answer(arguments, folders)
    except DpprofError as error:
        return _success(id, {"content": [_text(str(error))], "isError": True})
    text = msgspec.json.encode(content, enc_hook=_plain).decode()
    return _success(id, {"content": [_text(text)], "isError": False})


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's."""
    return value.item()


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def _success(id: Any, result: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "result": result}


def _failure(id: Any, code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}}
