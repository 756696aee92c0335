"""Tables that `facial-attributes bench` prints; every function takes a report, or a row of it, as in its JSON."""

from typing import Any


def print_stages(report: dict[str, Any]) -> None:
    """Print milliseconds by stage and number of faces."""
    print(f"{report['machine']}; model {report['model']} in {report['engine']} on {report['device']}")
    print(f"{'milliseconds':<14}{'faces':>6}{'median':>9}{'p90':>9}{'minimum':>9}{'runs':>6}")
    for timing in report["timings"]:
        values = "".join(f"{timing[name]:9.2f}" for name in ("median", "p90", "minimum"))
        print(f"{timing['stage']:<14}{timing['faces']:>6}{values}{timing['runs']:>6}")
    for faces, ratio in report["estimate_per_backbone"].items():
        print(f"crop, model and softmax of {faces} faces take {ratio:.2f} times as long as the bare backbone")


def print_end_to_end(report: dict[str, Any]) -> None:
    """Print every run, the median of the runs, and the overhead of our own."""
    print(f"{report['machine']}; model {report['model']} in {report['engine']}, 640x480 at {report['rate']:g} frames/s")
    for faces, entry in report["faces"].items():
        for number, run in enumerate(entry["runs"], 1):
            print(f"{faces} faces, run {number}: {_run(run)}")
        median = entry["median"]
        print(
            f"{faces} faces, median of {len(entry['runs'])}: {median['rate']:.1f} Hz, latency p50 "
            f"{median['p50']:.1f}, p99 {median['p99']:.1f} ms, {median['cores']:.2f} cores; bare detector "
            f"{median['detection']:.1f}, bare backbone of one face {median['backbone']:.1f} ms"
        )
        own = entry["overhead"]
        print(f"{faces} faces, overhead of our own: {own['median']:.2f} ms per frame (p99 {own['p99']:.2f})")


def _run(run: dict[str, Any]) -> str:
    slope = "" if run["memory_slope"] is None else f", {run['memory_slope']:+.2f} MB/min"
    own = "" if run["private_slope"] is None else f" ({run['private_slope']:+.2f} of its own)"
    memory = run["memory"][-1]
    return (
        f"{run['rate']:.1f} Hz with {run['faces']:.1f} faces, latency p50 {run['p50']:.1f}, "
        f"p90 {run['p90']:.1f}, p99 {run['p99']:.1f} ms; {run['cores']:.2f} cores, "
        f"{memory['resident']:.0f} MB{slope}{own}"
    )


def print_load_header() -> None:
    """Print the columns of `print_load_row`."""
    print(f"{'changed':<8}{'value':>7}{'output, Hz':>12}{'camera, Hz':>12}{'p50 ms':>9}{'p99 ms':>9}{'cores':>7}")


def print_load_row(row: dict[str, Any]) -> None:
    """Print one point of a curve as soon as it is measured."""
    start = f"{row['axis']:<8}{row[row['axis']]:>7}"
    if row["note"]:
        print(f"{start}   {row['note']}", flush=True)
        return
    figures = f"{row['messages_per_second']:>12.1f}{row['rate']:>12}{row['p50']:>9.1f}{row['p99']:>9.1f}"
    print(f"{start}{figures}{row['cores']:>7.2f}", flush=True)


def print_limits(limits: dict[str, int | None]) -> None:
    """Print the largest value of each axis up to which the node keeps up."""
    for axis, value in limits.items():
        print(f"{axis}: keeps up to {value}" if value is not None else f"{axis}: does not keep up at all")


def print_detection_header(sides: list[int]) -> None:
    """Print the columns of `print_detection_row`."""
    print(f"{'detector':<28}{'size':>5}{'ms':>8}{'false +':>8}{'95 % from':>11}   recall, %, by side of the face, px")
    print(" " * 62 + "".join(f"{side:>5}" for side in sides))


def print_detection_row(row: dict[str, Any]) -> None:
    """Print one detector at one size as soon as it is measured."""
    name = row["detector"] if len(row["detector"]) <= 27 else "…" + row["detector"][-26:]
    if row["note"]:
        print(f"{name:<28}{row['size']:>5}   {row['note']}", flush=True)
        return
    smallest = "-" if row["smallest_face"] is None else f"{row['smallest_face']} px"
    recall = "".join(f"{100 * value:>5.0f}" for value in row["recall"].values())
    figures = f"{row['milliseconds']:>8.1f}{row['false_positives']:>8.2f}{smallest:>11}"
    print(f"{name:<28}{row['size']:>5}{figures}   {recall}", flush=True)


def print_training(report: dict[str, Any]) -> None:
    """Print the throughput of training."""
    print(f"{report['machine']}; {report['recipe']}, batches of {report['batch']}")
    print(f"training loop  {report['loop']:8.1f} samples/s, {report['steps']} steps")
    print(f"bare loop      {report['bare']:8.1f} samples/s, from memory")
    print(f"the loop runs at {100 * report['ratio']:.0f} % of the bare one")
    print(f"a step waits {report['data']:.1f} ms for data and computes {report['step']:.1f} ms (medians)")


def print_ladder_header(report: dict[str, Any]) -> None:
    """Print what is measured, and the columns of `print_ladder_row`."""
    print(
        f"{report['machine']}; {report['backbone']} with random weights in {report['precision']} on {report['device']}"
    )
    print(f"a large matrix product runs at {report['matrix_product']:.2f} TFLOP/s: the limit for the last column")
    print(
        f"{'phase':<10}{'adaptation':<12}{'checkpoints':<13}{'batch':>5}{'median ms':>12}{'faces/s':>10}{'peak MB':>10}"
        f"{'TFLOP/s':>10}{'of limit':>10}"
    )


def print_ladder_row(row: dict[str, Any], limit: float) -> None:
    """Print one row as soon as it is measured; `limit` is the TFLOP/s of a matrix product."""
    checkpoints = "yes" if row["checkpointing"] else "no" if row["phase"] == "training" else ""
    if row["note"]:
        values = f"   {row['note']}"
    else:
        memory = "-" if row["peak_memory"] is None else f"{row['peak_memory']:.0f}"
        values = f"{row['milliseconds']:12.2f}{row['faces_per_second']:10.1f}{memory:>10}"
        if row["teraflops"] is not None:
            values += f"{row['teraflops']:10.2f}{100 * row['teraflops'] / limit:8.0f} %"
    print(f"{row['phase']:<10}{row['adaptation']:<12}{checkpoints:<13}{row['batch']:>5}{values}", flush=True)
