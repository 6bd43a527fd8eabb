"""Lab 01: who shares which namespaces."""

from labhelpers.charts import matrix as charts
from labhelpers.charts.chart import Chart
from labhelpers.pods import Pod


def matrix(lab, title: str, *pods: Pod, pause: bool = False, node: bool = False) -> Chart:
    """Which containers share which namespaces, now, as a picture with its finding; ``.table``
    holds the inode numbers.

    Rows are named by the container; with several Pods, by ``pod/container``. A container that
    does not run has no row.

    Args:
        title: the question that the picture answers.
        pods: the Pods, top to bottom.
        pause: draw each Pod's pause as well.
        node: put a row for the node's own namespaces above the Pods.

    Example::

        lab.tools.matrix("Which namespaces do two containers of one Pod share?", pod)
    """
    import pandas

    frames = []
    for pod in pods:
        frame = pod.namespaces()
        frame = frame if pause else frame.drop(index="pause", errors="ignore")
        if not frame.empty:
            frames.append(frame.rename(f"{pod.name}/{{}}".format) if len(pods) > 1 else frame)
    if node:
        frames.insert(0, pandas.DataFrame([lab.node.node_namespaces()], index=["node"]))
    return charts.matrix(
        pandas.concat(frames, join="inner") if frames else pandas.DataFrame(), title
    )
