"""The northbound interface `ssh`: JSON frames for programs, the commands of `dpb` for people."""
