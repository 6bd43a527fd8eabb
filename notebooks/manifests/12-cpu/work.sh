# Bursts of work: each of so many milliseconds of CPU time ($1), so many of them ($2). Prints the milliseconds that each one took.
# /proc/self/schedstat is the shell's own CPU time so far in nanoseconds, /proc/uptime the clock, to the hundredth of a second.
# Between two bursts it sleeps, for more than a period, for a different time each time: so a burst begins at any point of a period.
for number in $(seq $2); do
  sleep 0.1$((number * 37 % 90 + 10))
  read -r began rest < /proc/uptime
  read -r used rest < /proc/self/schedstat
  enough=$((used + $1 * 1000000))
  while [ $used -lt $enough ]; do read -r used rest < /proc/self/schedstat; done
  read -r ended rest < /proc/uptime
  echo $(((${ended%.*}${ended#*.} - ${began%.*}${began#*.}) * 10))
done
