"""The call graph, as the contracts have it: `callers` of the methods for peers, and which services have methods for people."""

import re
from dataclasses import dataclass, field


@dataclass
class Graph:
    peers: set = field(default_factory=set)  # (caller, callee)
    public: set = field(default_factory=set)  # services with a method for anyone, persons or operators


def call_graph(folder):
    graph = Graph()
    for path in sorted(folder.glob("*/v1/*.proto")):
        callee = path.parts[-3]
        text = re.sub(r"//[^\n]*", "", path.read_text())
        methods = len(re.findall(r"\brpc\s+\w+\s*\(", text))
        policies = re.findall(r"option\s*\(mesh\.v1\.policy\)\s*=\s*\{(.*?)\}", text, re.DOTALL)
        if len(policies) != methods:
            raise ValueError(f"{path}: {methods} methods, {len(policies)} policies")
        for policy in policies:
            (access,) = re.findall(r"access:\s*(ACCESS_\w+)", policy)
            if access != "ACCESS_PEER":
                graph.public.add(callee)
                continue
            lists = re.findall(r"callers:\s*(\[[^\]]*\]|\"\w+\")", policy)
            callers = re.findall(r'"(\w+)"', " ".join(lists))
            if not callers:
                raise ValueError(f"{path}: a method for peers names none")
            graph.peers |= {(caller, callee) for caller in callers}
    return graph
