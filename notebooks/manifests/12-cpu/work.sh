# $2 bursts of $1 ms of CPU time each. Prints how many milliseconds each one took.
# /proc/self/schedstat: our CPU time so far, in ns. /proc/uptime: the clock, in s.
for number in $(seq $2); do
  sleep 0.1$((number * 37 % 90 + 10))  # so that a burst begins anywhere in a period
  read -r began rest < /proc/uptime
  read -r used rest < /proc/self/schedstat
  enough=$((used + $1 * 1000000))
  while [ $used -lt $enough ]; do read -r used rest < /proc/self/schedstat; done
  read -r ended rest < /proc/uptime
  echo $(((${ended%.*}${ended#*.} - ${began%.*}${began#*.}) * 10))
done
