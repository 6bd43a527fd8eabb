# An endless loop on every CPU, for $1 seconds, after a pause of $2 seconds, in the background.
for cpu in $(grep ^processor /proc/cpuinfo | cut -d : -f 2); do
  { sleep $2; timeout $1 taskset -c $cpu sh -c 'while :; do :; done'; } >/dev/null 2>&1 &
done
