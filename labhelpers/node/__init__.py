"""The node from the inside: processes, cgroups, the kernel's log, and what a lab changes there."""
