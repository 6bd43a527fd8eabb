"""The names that several parts of the tests share: the clusters that they make, and the browsers
that serve them."""

CLUSTER, SECOND = "podlab-test", "podlab-test-second"
HALF, ROOM = "podlab-test-half", "podlab-test-room"
PEOPLE = 4
SESSION = tuple(f"podlab-test-{number + 1}" for number in range(PEOPLE))
SEATS = ("podlab-hub-a", "podlab-hub-b")  # of the hub's test
UNIT_CLUSTER = "podlab-test-unit"  # which is never made
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
