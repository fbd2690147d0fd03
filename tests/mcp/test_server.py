"""``dpprof mcp``: the protocol, the tools, and paths that must stay below the folders."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from dpprof.errors import DpprofError
from dpprof.mcp.folders import Folders
from dpprof.mcp.server import answer, serve
from dpprof.mcp.tools import TOOLS

TRACES = Path(__file__).parent.parent.parent / "traces"
FOLDERS = Folders.given([TRACES])


def ask(method, **params):
    line = json.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
    reply = answer(line, FOLDERS)
    assert (reply["jsonrpc"], reply["id"]) == ("2.0", 7)
    return reply


def call(name, **arguments):
    result = ask("tools/call", name=name, arguments=arguments)["result"]
    text = result["content"][0]["text"]
    return text if result["isError"] else json.loads(text)


def test_a_session_begins_and_lists_tools_with_their_schemas():
    lines = [
        {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "x"}},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
    ]
    out = io.StringIO()
    serve([json.dumps(line) + "\n" for line in lines] + ["\n"], out, FOLDERS)
    first, second = map(json.loads, out.getvalue().splitlines())
    assert first["result"]["serverInfo"]["name"] == "dpprof"
    assert first["result"]["protocolVersion"] == "x"
    tools = {tool["name"]: tool for tool in second["result"]["tools"]}
    assert tools.keys() == TOOLS.keys()
    assert tools["slot"]["inputSchema"]["required"] == ["run", "slot"]
    assert all(tool["annotations"] == {"readOnlyHint": True} for tool in tools.values())


def test_every_tool_answers():
    report = call("report", run="dualpipe")
    assert report["schedule"] == "dualpipe"
    assert len(json.dumps(report)) < 8_000
    assert call("report", run="dualpipe", brief=False)["ranks"]
    found = call("findings", run="1f1b")
    assert found["findings"] or found["reason"]
    bubbles = call("bubbles", run="1f1b", rank=1, rows=2)["bubbles"]
    assert [one["rank"] for one in bubbles] == [1, 1]
    assert {row["slot"] for row in call("slot", run="1f1b", slot="F0.0")["slots"]} == {"F0.0"}
    assert "dualpipe" in call("diff", base="1f1b", new="dualpipe")["text"]
    assert call("gate", run="dualpipe", rules=["bubble_share > 99%"])["text"]
    plan = call("plan", run="1f1b", rows=3)
    assert plan["rows"][0]["step_ns"] <= plan["rows"][1]["step_ns"]


def test_paths_stay_below_the_folders(tmp_path):
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "link").symlink_to(TRACES)
    folders = Folders.given([tmp_path / "inside"])
    for path in ("..", "/etc/passwd", "../../etc", "link", "a\0b", "*", str(TRACES)):
        with pytest.raises(DpprofError):
            folders.path(path)
    assert folders.path(".") == str((tmp_path / "inside").resolve())
    assert "no such file or folder below" in call("report", run="../README.md")


def test_what_is_wrong_is_an_error_of_the_protocol():
    assert answer("{", FOLDERS)["error"]["code"] == -32700
    assert answer("[" * 100_000, FOLDERS)["error"]["code"] == -32700
    assert answer('{"method": "ping", "id": [[1]]}', FOLDERS)["error"]["code"] == -32600
    assert answer("[]", FOLDERS)["error"]["code"] == -32600
    assert ask("tools/burn")["error"]["code"] == -32601
    assert ask("tools/call", name="burn")["error"]["code"] == -32602
    unknown = ask("tools/call", name="slot", arguments={"run": "1f1b", "slot": "F0.0", "x": 1})
    assert unknown["error"]["code"] == -32602
    assert "no slot 'F9.9'" in call("slot", run="1f1b", slot="F9.9")
