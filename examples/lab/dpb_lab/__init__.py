"""A data-plane laboratory: Open vSwitch, hosts, the controller application and a broker, as children of one process."""
