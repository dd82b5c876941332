#!/usr/bin/perl
# findings.pl reads what cgdeleg check --json writes, and prints what is not well, for a
# shell: lines of words between tabs.
#
#   finding NAME STATUS
#   text TEXT              of its fix
#   command WHO HOW LINE   root or user; any, or manual for a person; as it is typed
#
# What could not be told only for another check's sake is left out. Debian has no JSON
# in what every machine has of Perl.
use strict;
use warnings;
local $/;
my $json = <STDIN>;

sub value {
	return string() if $json =~ /\G\s*(?=")/gc;
	return list("]", sub { value() }) if $json =~ /\G\s*\[/gc;
	return {@{list("}", \&member)}} if $json =~ /\G\s*\{/gc;
	return $1 if $json =~ /\G\s*(-?[0-9.eE+-]+)/gc;
	return $1 eq "true" if $json =~ /\G\s*(true|false|null)/gc;
	die "no JSON at " . substr($json, pos($json) // 0, 40) . "\n";
}

sub member {
	$json =~ /\G\s*/gc;
	my $key = string();
	$json =~ /\G\s*:/gc or die "no colon behind $key\n";
	return ($key, value());
}

sub list {
	my ($end, $one) = @_;
	my @all;
	until ($json =~ /\G\s*\Q$end\E/gc) {
		push @all, $one->();
		$json =~ /\G\s*,/gc;
	}
	return \@all;
}

my %escapes = (n => "\n", t => "\t", r => "\r", b => "\b", f => "\f");

sub string {
	$json =~ /\G"((?:[^"\\]|\\.)*)"/gc or die "no string\n";
	my $text = $1;
	$text =~ s/\\(?:u([0-9a-fA-F]{4})|(.))/defined $1 ? chr hex $1 : $escapes{$2} \/\/ $2/ge;
	return $text;
}

sub quoted {
	my ($word) = @_;
	$word =~ s/'/'\\''/g;
	$word =~ s/\n/'\$'\\n''/g; # a finding's line is one line
	return "'$word'";
}

for my $check (@{value()->{checks}}) {
	my $status = $check->{status};
	next if $status !~ /^(failed|warning|unknown)$/ or $check->{blocked_by};
	print join("\t", "finding", $check->{name}, $status), "\n";
	my $fix = $check->{fix} or next;
	print "text\t$fix->{text}\n";
	for my $command (@{$fix->{commands}}) {
		my $line = join " ", map { quoted($_) } @{$command->{args}};
		print join("\t", "command", $command->{root} ? "root" : "user", $command->{manual} ? "manual" : "any", $line), "\n";
	}
}
