# Samples a container on the node. It forks nothing. It waits with select on its own standard input,
# from which it also learns when to end, and when nobody is listening any more.
#
# It prints lines, with times in microseconds of the node's clock: h begun, b a cgroup appears,
# s a sample, g it's gone, p an answer, k a marker, c CPU time so far, m a missing file, x the limit
# is reached, z the end. They come in batches, because each write wakes four programs on its way.
#
# The clock is a system call by its number, because Debian's perl-base has no Time::HiRes.
use strict;
my ($machine, $bundles, $kernel_log, $higher, $root, $own, $token, $limit, $interval, $batch,
  $names, $always, $turns, $new) = @ARGV;
my @names = split /\n/, $names;
my @always = split /\n/, $always;
my @turns = split /\n/, $turns;
my $clock = { x86_64 => 228, aarch64 => 113 }->{$machine}
  or die "no clock_gettime is known for $machine\n";
my $stamp = pack "qq", 0, 0;
sub now {
  syscall $clock, 0, $stamp;
  my ($seconds, $nano) = unpack "qq", $stamp;
  $seconds * 1000000 + int($nano / 1000);
}
sub text {
  my $text;
  sysopen my $file, $_[0], 0 or return;
  sysread $file, $text, $_[1] // 16384;
  chomp $text if defined $text;
  $text;
}
sub write_to { open my $file, ">", $_[0] or return; print $file $_[1]; close $file }

my ($out, $flushed, $asked, %seen, @wanted) = ("", 0, "");
sub mark {
  my $before = now();
  write_to($kernel_log, "$token.$_[0]\n");
  $out .= "k $_[0] $before " . now() . "\n";
}
sub flush {
  my ($cost) = split / /, text("/proc/self/schedstat");
  $flushed = now();
  syswrite STDOUT, $out . "c $flushed $cost\n";
  $out = "";
}

sub ids {
  opendir my $folder, $bundles or return;
  grep { !/^\./ && !exists $seen{$_} } readdir $folder;
}
sub search {
  for my $id (ids()) {
    my $json = text("$bundles/$id/config.json", 1 << 20) // "";
    # It's read once it's complete.
    next if index($json, '"cgroupsPath":') < 0;
    $seen{$id} = ();
    unshift @wanted, $id unless grep { index($json, $_) < 0 } @names;
  }
  for my $id (@wanted) {
    my ($found) = grep { -d } glob "$root/*/*$id* $root/*/*/*$id*";
    return ($id, substr $found, length $root) if $found;
  }
  return;
}

# Each path is one before the container's own part, and the name of the file.
sub path { my ($before, $name) = split /\t/, $_[0]; "$before$_[1]/$name" }
my @order = grep { -r path($turns[$_], $own) } 0 .. $#turns;
my @missing = grep { !-r } map { path($_, $own) } @always;
if (@missing) { print "m $missing[0]\nz\n"; exit }

my ($dir, @paths, @turn_paths, $step, $turn);
sub sample {
  my ($at, @values) = @_;
  for my $path (@paths, $turn < 0 ? () : $turn_paths[$turn]) {
    my $value = text($path);
    return unless length $value;
    $value =~ tr/\n/ /;
    push @values, $value;
  }
  my $last = $turn < 0 ? "" : pop @values;
  $out .= "s $at " . join("|", @values, $turn < 0 ? "" : $turn, $last) . "\n";
  $step = $step < $#order ? $step + 1 : 0;
  $turn = $order[$step] // -1;
  return 1;
}

# What exists before a new Pod belongs to an earlier Pod of the same name.
@seen{ids()} = () if $new;
# If the loop can't go first, gaps grow under load.
setpriority 0, 0, -20;
for (split / /, $higher) { last if write_to("$_/cgroup.procs", $$) }
my $at = now();
my ($next, $deadline) = ($at, $at + $limit);
mark(0);
$out .= "h $at\n";
flush();
while (1) {
  $at = now();
  if (defined $dir && !sample($at)) { $out .= "g $at\n"; undef $dir }
  if (!defined $dir and (my $id, $dir) = search()) {
    @paths = map { path($_, $dir) } @always;
    @turn_paths = map { path($_, $dir) } @turns;
    ($step, $turn) = (0, $order[-1] // -1);
    $out .= "b $at $id\n";
    undef $dir unless sample($at);
  }
  flush() if $at - $flushed >= $batch;
  my $left = ($next += $interval) - now();
  ($next, $left) = (now(), 1000) if $left < 1000;
  my $wait = "\1";  # standard input
  if (select($wait, undef, undef, $left / 1e6) > 0) {
    last unless sysread STDIN, $asked, 4096, length $asked;
    while ($asked =~ s/^(.*)\n//) { $out .= "p $1 " . now() . "\n"; flush() }
  }
  if ($at > $deadline) { $out .= "x $at\n"; last }
}
mark(1);
flush();
syswrite STDOUT, "z\n";
