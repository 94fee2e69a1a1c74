"""The figures of all rounds as a table, as Markdown, as JSON."""

import statistics


def median_of(results):
    """Of several runs: the median of each member."""
    found = {}
    for key, value in results[0].items():
        values = [one[key] for one in results]
        if isinstance(value, dict):
            found[key] = {name: statistics.median(one[name] for one in values) for name in value}
        else:
            found[key] = statistics.median(values) if value is not None else None
    return found


def figure(value):
    if value is None:
        return "?"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def short(one):
    """A cell: what it reached, and in brackets what it cost."""
    if "failed" in one:
        return "failed"
    if "rate" not in one:
        return f"{figure(one['pss_kib'])} KiB"
    return figure(one["rate"]) + (f" ({figure(one['cost'])})" if one["cost"] else "")


def best(results, peers, member, least):
    """(name, value) of the peer that has the best one."""
    found = [(results[name][member], name) for name in peers if name in results and "failed" not in results[name]]
    if not found:
        return None
    value, name = min(found) if least else max(found)
    return name, value


def compare(results, peers, goal):
    """gatewayd beside the best of the peers; the cost beside that of the peer with the best rate."""
    mine = results.get("gatewayd", {"failed": ""})
    fastest = best(results, peers, "rate", False)
    if "failed" in mine or not fastest or not fastest[1]:
        return {}
    found = {"best_peer": fastest[0], "rate": mine["rate"] / fastest[1]}
    if results[fastest[0]]["cost"]:
        found["cost"] = mine["cost"] / results[fastest[0]]["cost"]
    lows = [results[name]["latency_us"]["p99"] for name in peers
            if name in results and (results[name].get("latency_us") or None) is not None]
    if lows and mine.get("latency_us"):
        found["p99_below_all"] = mine["latency_us"]["p99"] < min(lows)
    if goal:
        found["goal_rate"], found["goal_cost"] = goal
        found["met"] = found["rate"] >= goal[0] and (goal[1] is None or found.get("cost", 0) <= goal[1])
    return found


def lay_out(header, rows, markdown):
    if markdown:
        lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
        return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in [header, *rows])


class Report:
    def __init__(self, columns, peers):
        """columns: names of servers in the order in which they are shown; peers: those that gatewayd is compared with."""
        self.columns, self.peers = columns, peers
        self.rows, self.memory, self.failures = [], [], []

    def add(self, row, results):
        shown = {name: {"failed": one} if isinstance(one, str) else median_of(one) for name, one in results.items()}
        self.failures += [f"{name}, {row.title}: {one}" for name, one in results.items() if isinstance(one, str)]
        self.rows.append({"key": row.key, "title": row.title, "unit": row.unit[2], "cost_unit": row.unit[3], "results": shown,
                          "compared": compare(shown, self.peers, row.goal)})
        return self.rows[-1]

    def add_memory(self, row, results):
        self.failures += [f"{name}, {row.title}: {one}" for name, one in results.items() if isinstance(one, str)]
        self.memory.append({"key": row.key, "title": row.title, "relays": row.relays,
                            "results": {name: {"failed": one} if isinstance(one, str) else one for name, one in results.items()}})
        return self.memory[-1]

    def used(self, rows):
        return [name for name in self.columns if any(name in row["results"] for row in rows)]

    def rate_table(self, markdown):
        columns = self.used(self.rows)
        header = ["rate (CPU)", "unit (CPU of the server)", *columns, "× best peer", "CPU ×", "goal"]
        lines = []
        for row in self.rows:
            cells = []
            for name in columns:
                one = row["results"].get(name)
                cells.append("–" if one is None else short(one))
            compared = row["compared"]
            goal = ""
            if "goal_rate" in compared:
                goal = f"≥ {compared['goal_rate']}" + (f", ≤ {compared['goal_cost']}" if compared["goal_cost"] else "")
                goal += " met" if compared["met"] else " MISSED"
            lines.append([row["title"], f"{row['unit']} ({row['cost_unit']})", *cells,
                          f"{compared['rate']:.2f} {compared['best_peer']}" if compared else "",
                          f"{compared['cost']:.2f}" if "cost" in compared else "", goal])
        return lay_out(header, lines, markdown)

    def latency_table(self, markdown):
        rows = [row for row in self.rows if any("latency_us" in one for one in row["results"].values())]
        if not rows:
            return ""
        columns = self.used(rows)
        lines = []
        for row in rows:
            cells = []
            for name in columns:
                one = row["results"].get(name, {})
                times = one.get("latency_us")
                cells.append("failed" if "failed" in one else "–" if not times else
                             f"{figure(times['p50'])} / {figure(times['p90'])} / {figure(times['p99'])} / {figure(times['max'])}")
            lines.append([row["title"], *cells])
        return lay_out(["µs: median / 90 % / 99 % / longest", *columns], lines, markdown)

    def memory_table(self, markdown):
        if not self.memory:
            return ""
        columns = self.used(self.memory)
        lines = []
        for row in self.memory:
            for title, member in (("user memory (PSS), KiB", "pss_kib"), ("kernel memory, both sides, KiB", "kernel_kib"),
                                  ("descriptors", "descriptors")):
                cells = []
                for name in columns:
                    one = row["results"].get(name)
                    cells.append("–" if one is None else "failed" if "failed" in one else figure(one[member]))
                lines.append([f"{row['title']}: {title}", *cells])
        return lay_out(["for each relay", *columns], lines, markdown)

    def text(self, markdown=False):
        parts = [self.rate_table(markdown) if self.rows else "", self.latency_table(markdown), self.memory_table(markdown)]
        if self.failures:
            parts.append("Failed:\n\n" + "\n".join(("- " if markdown else "  ") + one for one in self.failures))
        return "\n\n".join(part for part in parts if part)

    def json(self, machine):
        return {"machine": machine, "rows": self.rows, "memory": self.memory, "failures": self.failures}
