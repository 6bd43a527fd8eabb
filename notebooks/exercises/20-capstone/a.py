"""Exercise a of lab 20: shop's Pod is admitted, and starts in order."""

QUESTION = """
Ticket: "From Monday our namespace enforces restricted. And whenever database and shop start
together, shop crashes first. The auditors add that ship misses the first requests."

Change the Deployment so that it passes the attacks restricted and start. Keep the names, and both
programs: /shop/cgi-bin/serve in app, and /shop/cgi-bin/ship in ship. The folder has more programs:
look at manifests/20-capstone/programs.yaml.
"""

HINTS = [
    "restricted: lab 17. kubectl label namespace lab-20-capstone "
    "pod-security.kubernetes.io/warn=restricted makes kubectl apply name what's missing.",
    "start: something has to wait for the database before app starts (lab 09).",
    "ship has to be ready before app starts, and to run on: a native sidecar with a startup probe"
    " (lab 10).",
]

DEBRIEF = [
    "restricted looks at the Pod before anything runs. Then ship was ready, the database answered, "
    "and only then app started.",
    "Containers start side by side, init containers one after another. A native sidecar holds up "
    "the next one until its startup probe passes.",
    "A crash loop often stands in for a missing wait. It works, but the back-off makes an outage "
    "longer than its cause.",
]


def check(lab, path):
    lab.tools.run(["restricted", "start"])
    return "restricted admits the Pod; ship was ready before app started, and nothing was restarted"
