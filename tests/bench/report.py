"""The figures as a table for people and as one object for programs."""


def ratio(figures: dict, of) -> float | None:
    """Portcullis to nginx."""
    if not {"nginx", "portcullis"} <= figures.keys():
        return None
    ours, plain = of(figures["portcullis"]), of(figures["nginx"])
    return round(ours / plain, 3) if ours is not None and plain else None


RATIOS = {
    "cpu_ratio_to_nginx": lambda figures: figures.cpu_us,
    "throughput_ratio_to_nginx": lambda figures: figures.per_second,
    "p99_ratio_to_nginx": lambda figures: figures.latency("p99_us"),
}


def absolute(figures) -> dict:
    latencies = {name: round(figures.latency(name)) for name in ("p50_us", "p90_us", "p99_us", "max_us")}
    cpu = figures.cpu_us
    return {
        "requests": figures.requests,
        "errors": figures.errors,
        "per_second": round(figures.per_second),
        "cpu_us_per_request": None if cpu is None else round(cpu, 1),
        **latencies,
    }


def summary(results, targets: list[str], threads: int) -> dict:
    """By workload and connections: the ratios, and the absolute figures of each target."""
    outcome = {}
    for cell, figures in results.items():
        outcome[cell.name] = {name: ratio(figures, of) for name, of in RATIOS.items()}
        outcome[cell.name] |= {target: absolute(figures[target]) for target in targets}
    return {**outcome, "threads": threads}


def table(results, targets: list[str], threads: int) -> str:
    lines = [
        "",
        f"{threads} threads each: the origin, nginx (worker processes), the gateway (worker threads); the driver has one.",
        "CPU is that of the proxy's own processes, per request. p50 to p99 are the median round's.",
        "",
        f"{'':10}{'':12}{'CPU':>10}{'requests':>11}{'p50':>9}{'p90':>9}{'p99':>9}{'max':>9}",
        f"{'':10}{'':12}{'µs':>10}{'per s':>11}{'ms':>9}{'ms':>9}{'ms':>9}{'ms':>9}",
    ]
    for cell, figures in results.items():
        for number, target in enumerate(targets):
            each = figures[target]
            cpu = "" if each.cpu_us is None else f"{each.cpu_us:.1f}"
            latencies = "".join(f"{each.latency(name) / 1000:9.2f}" for name in ("p50_us", "p90_us", "p99_us", "max_us"))
            lines.append(f"{cell.name if number == 0 else '':10}{target:12}{cpu:>10}{each.per_second:11.0f}{latencies}")
        found = {name: ratio(figures, of) for name, of in RATIOS.items()}
        if None not in found.values():
            cpu, throughput, p99 = found.values()
            lines.append(f"{'':10}{'to nginx':12}{f'{cpu:.2f}×':>10}{f'{throughput:.2f}×':>11}{'':18}{f'{p99:.2f}×':>9}")
        lines.append("")
    return "\n".join(lines)
